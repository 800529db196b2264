/** One session as its row holds it: times in milliseconds since the Unix epoch. Its identity is its container. */
export interface StoredSession {
  readonly containerId: string;
  readonly name: string;
  /** The engine that has the container: what another engine lacks is no news. */
  readonly engineId: string;
  /** `starting`: nobody was told of it yet; `living`; `ended`: its end was told, its container is still to be removed. */
  readonly state: StoredSessionState;
  /** A client was attached when the row was written. */
  readonly isAttached: boolean;
  readonly image: string;
  /** Of its terminal, as the last client had it. */
  readonly columns: number;
  readonly rows: number;
  readonly createdAtMs: number;
  readonly lastAttachedAtMs?: number;
  readonly expiresAtMs?: number;
  /** The last that its terminal said, which its engine may not have logged yet. */
  readonly recentOutput?: Uint8Array;
}

export type StoredSessionState = "starting" | "living" | "ended";
