import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection } from "./sqlite_connection.ts";
import { parametersOf, readTask, type StoredTask, UPSERT_TASK } from "./task_rows.ts";

/** Ended tasks that are kept; the longest ended go first. */
export const MAX_ENDED_TASKS = 10_000;

/** Runs of one task id that are kept: an id that is used every minute must not push all other tasks out. */
export const MAX_RUNS = 10;

/** So many ended tasks are saved between two looks at how many there are. */
const PRUNE_EVERY = 64;

/** Rows deleted at once: more would hold up the event loop for milliseconds. */
const PRUNE_STEP = 400;

/** Pages given back to the file system after a step of deleting. */
const VACUUM = "PRAGMA incremental_vacuum(100)";

/** The longest ended beyond those that are kept, but none whose container is still to be dealt with. */
const PRUNE = `
  DELETE FROM tasks WHERE cleanup_pending = 0 AND seq IN (
    SELECT seq FROM tasks WHERE ended_ms IS NOT NULL
    ORDER BY ended_ms DESC, seq DESC LIMIT :step OFFSET :kept)`;

const PRUNE_RUNS = `
  DELETE FROM tasks WHERE task_id = :task_id AND run <= :run AND ended_ms IS NOT NULL AND cleanup_pending = 0`;

const LAST_RUN = "SELECT max(run) AS run FROM tasks WHERE task_id = :id";

/** Of each task id the last run, where that has ended. */
const ENDED = `
  SELECT * FROM tasks AS task WHERE ended_ms IS NOT NULL
    AND run = (SELECT max(run) FROM tasks WHERE task_id = task.task_id)
  ORDER BY created_ms DESC, seq DESC`;

/**
 * The tasks' rows, one for each run of a task id. The runs of one id are numbered from 1 on; the last one is the task that
 * the id names; the earlier ones remain readable. What cannot be written (a full disk) stays in memory, is reported like the
 * rest, and is written as soon as that works again. Every call is synchronous: a task's row changes in the block in which
 * its event is told, and is written in that event's transaction.
 */
export class TaskStore implements RowWriter {
  /** Containers that tasks were to leave behind. */
  readonly kept: KeptContainers;
  readonly #database: Database;
  /** Saved, but not written, by task id and run; oldest first. */
  readonly #unwritten = new Map<string, StoredTask>();
  /** By task id, the last run that is not written. */
  readonly #lastUnwritten = new Map<string, number>();
  /** The rows that a new database must have: those of tasks that are not over. By task id and run. */
  readonly #unfinished = new Map<string, StoredTask>();
  #endedSincePrune = 0;

  constructor({ database }: { database: Database }) {
    this.#database = database;
    this.kept = new KeptContainers({ database });
    database.join(this);
    for (const task of this.#readUnfinished()) this.#unfinished.set(keyOf(task), task);
    this.#prune();
  }

  /** Puts the row of that run into its place. */
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
    const unwritten = this.#unwritten.get(key) ?? this.#unfinished.get(key);
    if (unwritten !== undefined) return unwritten;
    const sql = "SELECT * FROM tasks WHERE task_id = :id AND run = :run";
    return this.#database.read(
      (connection) => connection.rows(sql, { id: taskId, run }).map(readTask)[0],
      undefined,
    );
  }

  /** The number of the last run of that task id; undefined when there is none. */
  lastRun(taskId: string): number | undefined {
    const unwritten = this.#lastUnwritten.get(taskId) ?? 0;
    const written = this.#database.read(
      (connection) => connection.rows(LAST_RUN, { id: taskId })[0]?.run,
      null,
    );
    return Math.max(unwritten, Number(written ?? 0)) || undefined;
  }

  /** The runs of that task id that are kept, the last one first. */
  runs(taskId: string): StoredTask[] {
    const last = this.lastRun(taskId) ?? 0;
    const runs: StoredTask[] = [];
    for (let run = last; run > Math.max(0, last - MAX_RUNS); run--) {
      const task = this.get(taskId, run);
      if (task !== undefined) runs.push(task);
    }
    return runs;
  }

  /** Those that have not ended, and those whose container is still to be dealt with; in the order of their creation. */
  unfinished(): StoredTask[] {
    return [...this.#unfinished.values()].sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  /** The task ids whose last run has ended, each with that; the newest (by creation) first. */
  ended(): StoredTask[] {
    const written = this.#database.read((connection) => connection.rows(ENDED).map(readTask), []);
    if (this.#unwritten.size === 0) return written;
    const isLast = ({ taskId, run }: StoredTask): boolean => run >= (this.#lastUnwritten.get(taskId) ?? 0);
    const unwritten = [...this.#unwritten.values()].reverse()
      .filter((task) => task.endedAtMs !== undefined && task.run === this.lastRun(task.taskId));
    return [...unwritten, ...written.filter((task) => isLast(task) && !this.#unwritten.has(keyOf(task)))]
      .sort((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    for (const task of this.#unwritten.values()) {
      connection.run(UPSERT_TASK, parametersOf(task));
      if (task.run > MAX_RUNS) {
        connection.run(PRUNE_RUNS, { task_id: task.taskId, run: task.run - MAX_RUNS });
      }
    }
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten.clear();
    this.#lastUnwritten.clear();
  }

  /** For the database. */
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

  /** The number of tasks that are not over is bounded where they are run. */
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

  #readUnfinished(): StoredTask[] {
    const sql = "SELECT * FROM tasks WHERE ended_ms IS NULL OR cleanup_pending = 1 ORDER BY created_ms, seq";
    return this.#database.read((connection) => connection.rows(sql).map(readTask), []);
  }
}

/** A task id has no `@`. */
function keyOf({ taskId, run }: Pick<StoredTask, "taskId" | "run">): string {
  return `${taskId}@${run}`;
}

function isUnfinished(task: StoredTask): boolean {
  return task.endedAtMs === undefined || task.cleanupPending;
}

/**
 * The containers that their tasks were to leave behind, by id: the tasks themselves may be forgotten, or their ids used
 * again. Every call is synchronous, and what it changes is written in the transaction of its block.
 */
export class KeptContainers implements RowWriter {
  readonly #database: Database;
  readonly #ids: Set<string>;
  /** Those whose row on disk is not what it should be. */
  readonly #unwritten = new Set<string>();

  constructor({ database }: { database: Database }) {
    this.#database = database;
    database.join(this);
    const rows = database.read(
      (connection) => connection.rows("SELECT container_id FROM kept_containers"),
      [],
    );
    this.#ids = new Set(rows.map((row) => String(row.container_id)));
  }

  has(containerId: string): boolean {
    return this.#ids.has(containerId);
  }

  add(containerId: string): void {
    if (this.#ids.has(containerId)) return;
    this.#ids.add(containerId);
    this.#changed(containerId);
  }

  /** It is gone. Does nothing for one that was not kept. */
  remove(containerId: string): void {
    if (this.#ids.delete(containerId)) this.#changed(containerId);
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    for (const id of this.#unwritten) {
      const sql = this.#ids.has(id)
        ? "INSERT OR IGNORE INTO kept_containers (container_id) VALUES (:id)"
        : "DELETE FROM kept_containers WHERE container_id = :id";
      connection.run(sql, { id });
    }
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten.clear();
  }

  /** For the database. */
  databaseReplaced(): void {
    for (const id of this.#ids) this.#unwritten.add(id);
  }

  #changed(containerId: string): void {
    this.#unwritten.add(containerId);
    this.#database.changed(this);
  }
}
