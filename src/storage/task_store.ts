import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection, SqlRow } from "./sqlite_connection.ts";
import { RowMapping, SmallTable } from "./table.ts";

/** The row of one run of a task id. Times are in milliseconds since the Unix epoch. */
export interface StoredTask {
  readonly taskId: string;
  /** Counts the runs of this id from 1. */
  readonly run: number;
  /** `pending`, `running`, `completed`, `failed` or `cancelled`; the first two have not ended. */
  readonly state: string;
  readonly reason?: string;
  readonly exitCode?: number;
  readonly error?: string;
  /** The engine that runs it. */
  readonly engineId?: string;
  readonly containerId?: string;
  readonly workspacePath?: string;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  /** Present exactly when it has ended. */
  readonly endedAtMs?: number;
  /** Why it is being stopped, once a stop was requested. */
  readonly stopCause?: string;
  /** Its container is still to be removed or kept. */
  readonly cleanupPending: boolean;
  /** The client's id of the request that started it. */
  readonly requestId?: string;
  /** A client has not received all of its output yet. */
  readonly outputAwaited: boolean;
  /** The task's specification; any JSON value, which the store does not interpret. */
  readonly spec: unknown;
}

/** Ended tasks that are kept. Those that ended longest ago are deleted first. */
export const MAX_ENDED_TASKS = 10_000;

/** Runs of one task id that are kept: an id that is used every minute must not displace all other tasks. */
export const MAX_RUNS = 10;

/** Ended tasks that are saved between two prunings. */
const PRUNE_EVERY = 64;

/** Rows deleted at once: more would block the event loop for milliseconds. */
const PRUNE_STEP = 400;

/** Pages given back to the file system after each step of pruning. */
const VACUUM = "PRAGMA incremental_vacuum(100)";

/** Deletes the tasks that ended longest ago, except those whose container is still to be cleaned up. */
const PRUNE = `
  DELETE FROM tasks WHERE cleanup_pending = 0 AND seq IN (
    SELECT seq FROM tasks WHERE ended_ms IS NOT NULL
    ORDER BY ended_ms DESC, seq DESC LIMIT :step OFFSET :kept)`;

const PRUNE_RUNS = `
  DELETE FROM tasks WHERE task_id = :task_id AND run <= :run AND ended_ms IS NOT NULL AND cleanup_pending = 0`;

const UNFINISHED =
  "SELECT * FROM tasks WHERE ended_ms IS NULL OR cleanup_pending = 1 ORDER BY created_ms, seq";

/** The last run of each task id whose last run has ended. */
const ENDED = `
  SELECT * FROM tasks AS task WHERE ended_ms IS NOT NULL
    AND run = (SELECT max(run) FROM tasks WHERE task_id = task.task_id)
  ORDER BY created_ms DESC, seq DESC`;

const TASKS = new RowMapping<StoredTask>({
  table: "tasks",
  key: ["task_id", "run"],
  columns: {
    taskId: ["task_id", "text"],
    run: ["run", "number"],
    state: ["state", "text"],
    reason: ["reason", "text"],
    exitCode: ["exit_code", "number"],
    error: ["error", "text"],
    engineId: ["engine_id", "text"],
    containerId: ["container_id", "text"],
    workspacePath: ["workspace_path", "text"],
    createdAtMs: ["created_ms", "number"],
    startedAtMs: ["started_ms", "number"],
    endedAtMs: ["ended_ms", "number"],
    stopCause: ["stop_cause", "text"],
    cleanupPending: ["cleanup_pending", "flag"],
    requestId: ["request_id", "text"],
    outputAwaited: ["output_awaited", "flag"],
    spec: ["spec", "json"],
  },
});

/**
 * The tasks, one row for each run of a task id. A task id names its last run; earlier runs remain readable. Every call is
 * synchronous. A row is committed at the end of its block, together with the events of the block. While the database refuses
 * writes, unwritten rows stay in memory and are returned like the others.
 */
export class TaskStore implements RowWriter {
  /** The containers that tasks left behind on request, though the task may be forgotten, or its id used again. */
  readonly kept: SmallTable<{ readonly containerId: string }>;
  readonly #database: Database;
  /** By task id and run, oldest first. */
  readonly #unwritten = new Map<string, StoredTask>();
  /** By task id, its last unwritten run. */
  readonly #lastUnwritten = new Map<string, number>();
  /** By task id and run, the tasks that have not ended or are not cleaned up. A new database gets their rows. */
  readonly #unfinished = new Map<string, StoredTask>();
  #endedSincePrune = 0;

  constructor(database: Database) {
    this.#database = database;
    this.kept = new SmallTable<{ readonly containerId: string }>(database, {
      table: "kept_containers",
      key: "containerId",
      columns: { containerId: ["container_id", "text"] },
    });
    database.join(this);
    for (const task of this.#read(UNFINISHED)) this.#unfinished.set(keyOf(task), task);
    this.#prune();
  }

  /** Inserts or replaces the row of this run. */
  save(task: StoredTask): void {
    const key = keyOf(task);
    if (isUnfinished(task)) this.#unfinished.set(key, task);
    else this.#unfinished.delete(key);
    this.#unwritten.delete(key);
    this.#addUnwritten(task);
    this.#boundUnwritten();
    this.#database.changed(this);
    if (task.endedAtMs !== undefined && ++this.#endedSincePrune >= PRUNE_EVERY) this.#prune();
  }

  /** @param run the last one by default */
  get(taskId: string, run: number | undefined = this.lastRun(taskId)): StoredTask | undefined {
    if (run === undefined) return undefined;
    const key = keyOf({ taskId, run });
    return this.#unwritten.get(key) ?? this.#unfinished.get(key) ??
      this.#read("SELECT * FROM tasks WHERE task_id = :id AND run = :run", { id: taskId, run })[0];
  }

  /** The number of the task id's last run; undefined when no run exists. */
  lastRun(taskId: string): number | undefined {
    const sql = "SELECT max(run) AS run FROM tasks WHERE task_id = :id";
    const written = this.#database.read((connection) => connection.rows(sql, { id: taskId })[0]?.run, null);
    return Math.max(this.#lastUnwritten.get(taskId) ?? 0, Number(written ?? 0)) || undefined;
  }

  /** The runs of the task id that still exist, the last one first. */
  runs(taskId: string): StoredTask[] {
    const last = this.lastRun(taskId) ?? 0;
    const runs: StoredTask[] = [];
    for (let run = last; run > Math.max(0, last - MAX_RUNS); run--) {
      const task = this.get(taskId, run);
      if (task !== undefined) runs.push(task);
    }
    return runs;
  }

  /** The tasks that have not ended or are not cleaned up, in the order of their creation. */
  unfinished(): StoredTask[] {
    return [...this.#unfinished.values()].sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  /** The last run of each task id whose last run has ended, in the reverse order of creation. */
  ended(): StoredTask[] {
    const written = this.#read(ENDED);
    if (this.#unwritten.size === 0) return written;
    const isLast = ({ taskId, run }: StoredTask): boolean => run >= (this.#lastUnwritten.get(taskId) ?? 0);
    const unwritten = [...this.#unwritten.values()].reverse()
      .filter((task) => task.endedAtMs !== undefined && task.run === this.lastRun(task.taskId));
    return [...unwritten, ...written.filter((task) => isLast(task) && !this.#unwritten.has(keyOf(task)))]
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  writeRows(connection: SqliteConnection): void {
    for (const task of this.#unwritten.values()) {
      connection.run(TASKS.upsert, TASKS.toSql(task));
      if (task.run > MAX_RUNS) {
        connection.run(PRUNE_RUNS, { task_id: task.taskId, run: task.run - MAX_RUNS });
      }
    }
  }

  rowsWritten(): void {
    this.#unwritten.clear();
    this.#lastUnwritten.clear();
  }

  databaseReplaced(): void {
    for (const task of this.#unfinished.values()) {
      if (!this.#unwritten.has(keyOf(task))) this.#addUnwritten(task);
    }
  }

  #addUnwritten(task: StoredTask): void {
    const { taskId, run } = task;
    this.#unwritten.set(keyOf(task), task);
    this.#lastUnwritten.set(taskId, Math.max(run, this.#lastUnwritten.get(taskId) ?? 0));
  }

  /** Drops the oldest ended tasks. The orchestrator bounds the number of unfinished ones. */
  #boundUnwritten(): void {
    for (const task of this.#unwritten.values()) {
      if (this.#unwritten.size <= MAX_ENDED_TASKS) return;
      if (!isUnfinished(task)) this.#unwritten.delete(keyOf(task));
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

  #read(sql: string, parameters: SqlRow = {}): StoredTask[] {
    return this.#database.read(
      (connection) => connection.rows(sql, parameters).map((row) => TASKS.fromSql(row)),
      [],
    );
  }
}

/** A task id contains no `@`. */
function keyOf({ taskId, run }: Pick<StoredTask, "taskId" | "run">): string {
  return `${taskId}@${run}`;
}

function isUnfinished(task: StoredTask): boolean {
  return task.endedAtMs === undefined || task.cleanupPending;
}
