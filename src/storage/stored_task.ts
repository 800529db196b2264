/** One run of a task id as its row holds it: times in milliseconds since the Unix epoch, words as the orchestrator chose them. */
export interface StoredTask {
  readonly taskId: string;
  /** Which run of that id it is, from 1 on. */
  readonly run: number;
  /** `pending running completed failed cancelled`; the first two have not ended. */
  readonly state: string;
  readonly reason?: string;
  readonly exitCode?: number;
  readonly error?: string;
  /** The engine that it was given to: what another engine lacks is no news. */
  readonly engineId?: string;
  readonly containerId?: string;
  readonly workspacePath?: string;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  /** Present exactly when it has ended. */
  readonly endedAtMs?: number;
  /** Why it is being stopped, once somebody has asked for that. */
  readonly stopCause?: string;
  /** Its container is still to be dealt with. */
  readonly cleanupPending: boolean;
  /** What its client called the request that began it. */
  readonly requestId?: string;
  /** A client has not received all of its output yet. */
  readonly outputAwaited: boolean;
  /** What it was asked to be; any JSON value, nothing here looks into it. */
  readonly spec: unknown;
}
