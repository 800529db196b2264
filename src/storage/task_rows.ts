/** Between a task as the store has it and its row in the `tasks` table. */
import type { SqlRow } from "./sqlite_connection.ts";

export const UPSERT_TASK = `
  INSERT INTO tasks (task_id, run, state, reason, exit_code, error, engine_id, container_id, workspace_path, created_ms,
    started_ms, ended_ms, stop_cause, cleanup_pending, request_id, output_awaited, spec)
  VALUES (:task_id, :run, :state, :reason, :exit_code, :error, :engine_id, :container_id, :workspace_path, :created_ms,
    :started_ms, :ended_ms, :stop_cause, :cleanup_pending, :request_id, :output_awaited, :spec)
  ON CONFLICT (task_id, run) DO UPDATE SET state = excluded.state, reason = excluded.reason,
    exit_code = excluded.exit_code, error = excluded.error, engine_id = excluded.engine_id,
    container_id = excluded.container_id, workspace_path = excluded.workspace_path,
    created_ms = excluded.created_ms, started_ms = excluded.started_ms, ended_ms = excluded.ended_ms,
    stop_cause = excluded.stop_cause, cleanup_pending = excluded.cleanup_pending,
    request_id = excluded.request_id, output_awaited = excluded.output_awaited, spec = excluded.spec`;

/** The values of {@linkcode UPSERT_TASK}. */
export function parametersOf(task: StoredTask): SqlRow {
  return {
    task_id: task.taskId,
    run: task.run,
    state: task.state,
    reason: task.reason ?? null,
    exit_code: task.exitCode ?? null,
    error: task.error ?? null,
    engine_id: task.engineId ?? null,
    container_id: task.containerId ?? null,
    workspace_path: task.workspacePath ?? null,
    created_ms: task.createdAtMs,
    started_ms: task.startedAtMs ?? null,
    ended_ms: task.endedAtMs ?? null,
    stop_cause: task.stopCause ?? null,
    cleanup_pending: task.cleanupPending ? 1 : 0,
    request_id: task.requestId ?? null,
    output_awaited: task.outputAwaited ? 1 : 0,
    spec: JSON.stringify(task.spec),
  };
}

/** @throws {SyntaxError} when the description is no JSON any more: the file is damaged */
export function readTask(row: SqlRow): StoredTask {
  const text = (column: string): string | undefined => row[column] === null ? undefined : String(row[column]);
  const number = (column: string): number | undefined =>
    row[column] === null ? undefined : Number(row[column]);
  const reason = text("reason");
  const exitCode = number("exit_code");
  const error = text("error");
  const engineId = text("engine_id");
  const containerId = text("container_id");
  const workspacePath = text("workspace_path");
  const startedAtMs = number("started_ms");
  const endedAtMs = number("ended_ms");
  const stopCause = text("stop_cause");
  const requestId = text("request_id");
  return {
    taskId: String(row.task_id),
    run: Number(row.run),
    state: String(row.state),
    ...(reason !== undefined && { reason }),
    ...(exitCode !== undefined && { exitCode }),
    ...(error !== undefined && { error }),
    ...(engineId !== undefined && { engineId }),
    ...(containerId !== undefined && { containerId }),
    ...(workspacePath !== undefined && { workspacePath }),
    createdAtMs: Number(row.created_ms),
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(endedAtMs !== undefined && { endedAtMs }),
    ...(stopCause !== undefined && { stopCause }),
    cleanupPending: row.cleanup_pending === 1,
    ...(requestId !== undefined && { requestId }),
    outputAwaited: row.output_awaited === 1,
    spec: JSON.parse(String(row.spec)),
  };
}

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
