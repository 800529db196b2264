import type { Database } from "./database.ts";
import type { SqlRow } from "./sqlite_connection.ts";

/** The end of what one run of a task wrote, or why there is none. */
export interface StoredOutput {
  /** As whoever keeps it encodes it; empty where it is missing. */
  readonly records: Uint8Array;
  /** The run wrote more than this. */
  readonly isCut: boolean;
  /** Why there is none, for people. */
  readonly missing?: string;
}

/** Which run of which task. */
export interface RunKey {
  readonly taskId: string;
  readonly run: number;
}

const INSERT = `
  INSERT OR REPLACE INTO task_outputs (task_id, run, is_cut, missing, size, records)
  VALUES (:task_id, :run, :is_cut, :missing, :size, :records)`;

/** Beyond the total the oldest go, but never the one that was kept last. */
const DISCARD = `
  UPDATE task_outputs SET records = NULL, size = 0, missing = :missing WHERE number IN (
    SELECT number FROM (
      SELECT number, size, sum(size) OVER (ORDER BY number DESC) AS total, max(number) OVER () AS newest
      FROM task_outputs)
    WHERE total > :max AND size > 0 AND number < newest)`;

const DISCARDED = "it made room for the output of later tasks (keep_output_total)";

const BYTES = "SELECT total(size) AS bytes FROM task_outputs";

/**
 * The output of tasks whose containers were removed. It goes with the task's row, or when the total is beyond its limit.
 * Unlike other rows it is written at once, or not at all: it would take too much memory while the disk is full.
 */
export class TaskOutputs {
  readonly #database: Database;

  constructor({ database }: { database: Database }) {
    this.#database = database;
  }

  /** @param options.maxTotalBytes of the records of all tasks; false when it could not be written */
  keep(
    { taskId, run }: RunKey,
    { records, isCut, missing }: StoredOutput,
    { maxTotalBytes }: { readonly maxTotalBytes: number },
  ): boolean {
    return this.#database.write((connection) => {
      connection.run(INSERT, {
        task_id: taskId,
        run,
        is_cut: isCut ? 1 : 0,
        missing: missing ?? null,
        size: records.length,
        records,
      });
      connection.run(DISCARD, { max: maxTotalBytes, missing: DISCARDED });
    });
  }

  /** Undefined when nothing was to be kept, or its container was removed by another program. */
  get({ taskId, run }: RunKey): StoredOutput | undefined {
    const sql = "SELECT is_cut, missing, records FROM task_outputs WHERE task_id = :id AND run = :run";
    const rows = this.#database.read((connection) => connection.rows(sql, { id: taskId, run }), []);
    return rows.map(readOutput)[0];
  }

  /** Of all records. */
  get bytes(): number {
    return this.#database.read((connection) => Number(connection.rows(BYTES)[0]?.bytes ?? 0), 0);
  }
}

function readOutput({ is_cut: isCut, missing, records }: SqlRow): StoredOutput {
  return {
    records: records instanceof Uint8Array ? records : new Uint8Array(0),
    isCut: isCut === 1,
    ...(typeof missing === "string" && { missing }),
  };
}
