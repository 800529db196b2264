import type { Database, RowWriter } from "./database.ts";
import { KeptContainers } from "./kept_containers.ts";
import type { SqliteConnection, SqlRow } from "./sqlite_connection.ts";
import type { StoredTask } from "./stored_task.ts";

/** Ended tasks that are kept; the longest ended go first. */
export const MAX_ENDED_TASKS = 10_000;

/** So many ended tasks are saved between two looks at how many there are. */
const PRUNE_EVERY = 64;

/** Rows deleted at once: more would hold up the event loop for milliseconds. */
const PRUNE_STEP = 400;

/** Pages given back to the file system after a step of deleting. */
const VACUUM = "PRAGMA incremental_vacuum(100)";

const UPSERT = `
  INSERT INTO tasks (task_id, state, reason, exit_code, error, engine_id, container_id, workspace_path, created_ms,
    started_ms, ended_ms, stop_cause, cleanup_pending, spec)
  VALUES (:task_id, :state, :reason, :exit_code, :error, :engine_id, :container_id, :workspace_path, :created_ms,
    :started_ms, :ended_ms, :stop_cause, :cleanup_pending, :spec)
  ON CONFLICT (task_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
    exit_code = excluded.exit_code, error = excluded.error, engine_id = excluded.engine_id,
    container_id = excluded.container_id, workspace_path = excluded.workspace_path,
    created_ms = excluded.created_ms, started_ms = excluded.started_ms, ended_ms = excluded.ended_ms,
    stop_cause = excluded.stop_cause, cleanup_pending = excluded.cleanup_pending, spec = excluded.spec`;

/** The longest ended beyond those that are kept, but none whose container is still to be dealt with. */
const PRUNE = `
  DELETE FROM tasks WHERE cleanup_pending = 0 AND seq IN (
    SELECT seq FROM tasks WHERE ended_ms IS NOT NULL
    ORDER BY ended_ms DESC, seq DESC LIMIT :step OFFSET :kept)`;

/**
 * The tasks' rows. What cannot be written (a full disk) is kept here in memory, is told like the rest, and is written
 * as soon as that works again; so nobody above need know. Every call is synchronous: a task's row changes in the block in
 * which its event is told, and is written in that event's transaction.
 */
export class TaskStore implements RowWriter {
  /** Containers that tasks were to leave behind. */
  readonly kept: KeptContainers;
  readonly #database: Database;
  /** Saved, but not written, by task; oldest first. */
  readonly #unwritten = new Map<string, StoredTask>();
  /** The rows that a new database must have: those of tasks that are not over. */
  readonly #unfinished = new Map<string, StoredTask>();
  #endedSincePrune = 0;

  constructor({ database }: { database: Database }) {
    this.#database = database;
    this.kept = new KeptContainers({ database });
    database.join(this);
    for (const task of this.#readUnfinished()) this.#unfinished.set(task.taskId, task);
    this.#prune();
  }

  /** Puts the row of that task into its place, the row of an earlier task of that id included. */
  save(task: StoredTask): void {
    if (isUnfinished(task)) this.#unfinished.set(task.taskId, task);
    else this.#unfinished.delete(task.taskId);
    this.#unwritten.delete(task.taskId);
    this.#unwritten.set(task.taskId, task);
    this.#boundUnwritten();
    this.#database.changed(this);
    if (task.endedAtMs !== undefined && ++this.#endedSincePrune >= PRUNE_EVERY) this.#prune();
  }

  get(taskId: string): StoredTask | undefined {
    const unwritten = this.#unwritten.get(taskId) ?? this.#unfinished.get(taskId);
    if (unwritten !== undefined) return unwritten;
    const sql = "SELECT * FROM tasks WHERE task_id = :id";
    return this.#database.read(
      (connection) => connection.rows(sql, { id: taskId }).map(readTask)[0],
      undefined,
    );
  }

  /** Those that have not ended, and those whose container is still to be dealt with; in the order of their creation. */
  unfinished(): StoredTask[] {
    return [...this.#unfinished.values()].sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  /** Those that have ended, the newest (by creation) first. */
  ended(): StoredTask[] {
    const sql = "SELECT * FROM tasks WHERE ended_ms IS NOT NULL ORDER BY created_ms DESC, seq DESC";
    const written = this.#database.read((connection) => connection.rows(sql).map(readTask), []);
    if (this.#unwritten.size === 0) return written;
    const unwritten = [...this.#unwritten.values()].reverse().filter((task) => task.endedAtMs !== undefined);
    return [...unwritten, ...written.filter((task) => !this.#unwritten.has(task.taskId))]
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    for (const task of this.#unwritten.values()) connection.run(UPSERT, parametersOf(task));
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten.clear();
  }

  /** For the database. */
  databaseBegun(): void {
    for (const task of this.#unfinished.values()) {
      if (!this.#unwritten.has(task.taskId)) this.#unwritten.set(task.taskId, task);
    }
  }

  /** The number of tasks that are not over is bounded where they are run. */
  #boundUnwritten(): void {
    for (const task of this.#unwritten.values()) {
      if (this.#unwritten.size <= MAX_ENDED_TASKS) return;
      if (!isUnfinished(task)) this.#unwritten.delete(task.taskId);
    }
  }

  #prune(): void {
    this.#endedSincePrune = 0;
    if (this.#database.isRefused) return;
    let isWritten: boolean;
    let deleted = 0;
    do {
      isWritten = this.#database.write((connection) => {
        deleted = connection.run(PRUNE, { step: PRUNE_STEP, kept: MAX_ENDED_TASKS }).changes;
      });
      if (deleted > 0) this.#database.read((connection) => connection.rows(VACUUM), []);
    } while (isWritten && deleted === PRUNE_STEP);
  }

  #readUnfinished(): StoredTask[] {
    const sql = "SELECT * FROM tasks WHERE ended_ms IS NULL OR cleanup_pending = 1 ORDER BY created_ms, seq";
    return this.#database.read((connection) => connection.rows(sql).map(readTask), []);
  }
}

function isUnfinished(task: StoredTask): boolean {
  return task.endedAtMs === undefined || task.cleanupPending;
}

function parametersOf(task: StoredTask): SqlRow {
  return {
    task_id: task.taskId,
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
    spec: JSON.stringify(task.spec),
  };
}

/** @throws {SyntaxError} when the description is no JSON any more: the file is damaged */
function readTask(row: SqlRow): StoredTask {
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
  return {
    taskId: String(row.task_id),
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
    spec: JSON.parse(String(row.spec)),
  };
}
