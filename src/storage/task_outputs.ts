import type { Database } from "./database.ts";
import type { StoredTask } from "./task_store.ts";

/** The end of the output of one run of a task, or why none exists. */
export interface StoredOutput {
  /** As the caller encodes it; empty when it is missing. */
  readonly records: Uint8Array;
  /** The run wrote more than this. */
  readonly isCut: boolean;
  /** Why no output exists, for people. */
  readonly missing?: string;
}

export type RunKey = Pick<StoredTask, "taskId" | "run">;

const INSERT = `
  INSERT OR REPLACE INTO task_outputs (task_id, run, is_cut, missing, size, records)
  VALUES (:task_id, :run, :is_cut, :missing, :size, :records)`;

/** Discards the oldest records that exceed the total, but never the newest. */
const DISCARD = `
  UPDATE task_outputs SET records = NULL, size = 0, missing = :missing WHERE number IN (
    SELECT number FROM (
      SELECT number, size, sum(size) OVER (ORDER BY number DESC) AS total, max(number) OVER () AS newest
      FROM task_outputs)
    WHERE total > :max AND size > 0 AND number < newest)`;

const DISCARDED = "it made room for the output of later tasks (keep_output_total)";

const SELECT = "SELECT is_cut, missing, records FROM task_outputs WHERE task_id = :id AND run = :run";

const BYTES = "SELECT total(size) AS bytes FROM task_outputs";

/**
 * The output of tasks whose containers were removed. SQLite deletes it together with the task's row. Unlike other rows it is
 * written at once or not at all: it is too large to stay in memory while the disk is full.
 */
export class TaskOutputs {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Returns false when the output could not be written.
   * @param options.maxTotalBytes limit for the records of all tasks
   */
  keep(
    { taskId, run }: RunKey,
    { records, isCut, missing }: StoredOutput,
    { maxTotalBytes }: { readonly maxTotalBytes: number },
  ): boolean {
    return this.#database.write((connection) => {
      const size = records.length;
      connection.run(INSERT, {
        task_id: taskId,
        run,
        is_cut: isCut ? 1 : 0,
        missing: missing ?? null,
        size,
        records,
      });
      connection.run(DISCARD, { max: maxTotalBytes, missing: DISCARDED });
    });
  }

  /** Undefined when no output was to be kept, or another program removed the container. */
  get({ taskId, run }: RunKey): StoredOutput | undefined {
    const [row] = this.#database.read((connection) => connection.rows(SELECT, { id: taskId, run }), []);
    if (row === undefined) return undefined;
    const { is_cut: isCut, missing, records } = row;
    return {
      records: records instanceof Uint8Array ? records : new Uint8Array(0),
      isCut: isCut === 1,
      ...(typeof missing === "string" && { missing }),
    };
  }

  /** The size of all records. */
  get bytes(): number {
    return this.#database.read((connection) => Number(connection.rows(BYTES)[0]?.bytes ?? 0), 0);
  }
}
