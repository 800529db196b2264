/**
 * The statements on the `events` table. Each call blocks the event loop, so it reads or deletes a bounded number of rows and
 * bytes; a caller that wants more calls again.
 */
import {
  type SqliteConnection,
  type SqlRow,
  type SqlValue,
  UnusableFileError,
} from "../sqlite_connection.ts";
import type { EventFacts } from "./event_filter.ts";

/** One line of the event log, as the journal writes it. */
export interface JournalLine {
  readonly seq: number;
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  /** The whole event with its newline. */
  readonly bytes: Uint8Array;
}

/** One event of the journal. */
export interface StoredEvent extends EventFacts {
  readonly seq: number;
  /** When it was published, in milliseconds since the Unix epoch; never less than for the event before it. */
  readonly timeMs: number;
  /** The whole event without a newline. An earlier version of apex wrote session events without fields. */
  readonly line: Uint8Array;
}

/** Which events one call reads, and how many. It always reads one event, whatever its size. */
export type ChunkOptions = ({ readonly afterSeq: number } | { readonly beforeSeq: number }) & {
  readonly maxRows: number;
  readonly maxBytes: number;
  /** Only the events of this task. */
  readonly taskId?: string | undefined;
};

/** The greatest `seq`: enough for a million events a second for a century. */
export const MAX_SEQ = 2 ** 52;

/** The greatest time of a `Date`. */
const MAX_TIME_MS = 8.64e15;

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const NEWLINE = 0x0a;
const NAME_FIELD = '"containerName":';
const decoder = new TextDecoder();

const COLUMNS = "seq, time_ms, type, task_id, container_id, line";
const INSERT = `INSERT INTO events (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)`;

const AFTER = { where: "seq > :from", order: "ASC", fit: "max", first: "min" };
const BEFORE = { where: "seq < :from", order: "DESC", fit: "min", first: "max" };

/** The statement that finds the end of a chunk, and the one that reads it. SQLite does not read a blob for its `length`. */
const statements = ({ where, order, fit, first }: typeof AFTER, task = "") => ({
  end: `
    SELECT ${fit}(CASE WHEN total <= :bytes THEN seq END) AS fit, ${first}(seq) AS first FROM (
      SELECT seq, sum(bytes) OVER (ORDER BY seq ${order}) AS total FROM (
        SELECT seq, length(line) AS bytes FROM events WHERE ${where} ${task} ORDER BY seq ${order} LIMIT :rows))`,
  chunk: `
    SELECT ${COLUMNS} FROM events WHERE ${where} ${task}
      AND seq ${order === "ASC" ? "<=" : ">="} :to ORDER BY seq ${order}`,
});

const BY_TASK = "AND task_id = :task";
const ALL_AFTER = statements(AFTER);
const ALL_BEFORE = statements(BEFORE);
const TASK_AFTER = statements(AFTER, BY_TASK);
const TASK_BEFORE = statements(BEFORE, BY_TASK);

/** Selects the oldest rows, but never the newest of all. */
const OLDEST = `time_ms < :before AND seq < (SELECT max(seq) FROM events)
  AND seq IN (SELECT seq FROM events ORDER BY seq LIMIT :rows)`;

/** Inserts rows, in ascending order of `seq`. */
export function insertEvents(
  connection: SqliteConnection,
  { lines, timeMs }: { lines: readonly JournalLine[]; timeMs: number },
): void {
  const insert = connection.prepared(INSERT);
  for (const { seq, type, taskId, containerId, bytes } of lines) {
    insert(seq, timeMs, type, taskId ?? null, containerId ?? null, bytes.subarray(0, -1));
  }
}

/** The next events after a `seq`, oldest first, or the last ones before it, newest first. @throws {UnusableFileError} */
export function readEvents(connection: SqliteConnection, options: ChunkOptions): StoredEvent[] {
  const { maxRows, maxBytes, taskId } = options;
  const task = taskId === undefined ? {} : { task: taskId };
  const isAfter = "afterSeq" in options;
  const from = isAfter ? options.afterSeq : options.beforeSeq;
  const [all, ofTask] = isAfter ? [ALL_AFTER, TASK_AFTER] : [ALL_BEFORE, TASK_BEFORE];
  const sql = taskId === undefined ? all : ofTask;
  const [end] = connection.rows(sql.end, { from, rows: maxRows, bytes: maxBytes, ...task });
  const to = end?.fit ?? end?.first ?? null;
  if (to === null) return [];
  return connection.rows(sql.chunk, { from, to, ...task }).map(readEvent);
}

/** The `seq` of the oldest and of the newest row; undefined when the table is empty. @throws {UnusableFileError} */
export function eventRange(connection: SqliteConnection): { oldest: number; newest: number } | undefined {
  // Two subqueries, because SQLite reads the whole table to compute both at once.
  const [row] = connection.rows(
    "SELECT (SELECT min(seq) FROM events) AS oldest, (SELECT max(seq) FROM events) AS newest",
  );
  if (row === undefined || row.oldest === null) return undefined;
  return { oldest: seqOf(row.oldest), newest: seqOf(row.newest) };
}

/** The `seq` of the newest row before `seq`; undefined when no row exists. @throws {UnusableFileError} */
export function newestBefore(connection: SqliteConnection, seq: number): number | undefined {
  const [row] = connection.rows("SELECT max(seq) AS newest FROM events WHERE seq < :seq", { seq });
  return row === undefined || row.newest === null ? undefined : seqOf(row.newest);
}

/** When the first event with this `seq` or a greater one was published. @throws {UnusableFileError} */
export function timeAt(connection: SqliteConnection, seq: number): number | undefined {
  const sql = "SELECT time_ms FROM events WHERE seq >= :seq ORDER BY seq LIMIT 1";
  const [row] = connection.rows(sql, { seq });
  return row === undefined ? undefined : timeOf(row.time_ms);
}

/** The `seq` of the first event that was published at `timeMs` or later; one past the newest when no such event exists. */
export function firstSeqAt(connection: SqliteConnection, timeMs: number): number {
  const range = eventRange(connection);
  if (range === undefined) return 1;
  let low = range.oldest;
  let high = range.newest + 1;
  // Times never decrease, so a binary search works without an index of times.
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((timeAt(connection, middle) ?? Infinity) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Deletes the oldest rows, at most `maxRows`, that were published before `beforeMs`, but never the newest row. Stores when the
 * last deleted one was published.
 * @returns how many rows it deleted
 */
export function deleteOldest(
  connection: SqliteConnection,
  { maxRows, beforeMs }: { maxRows: number; beforeMs: number },
): number {
  const which = { before: beforeMs, rows: maxRows };
  connection.run(
    `INSERT OR REPLACE INTO meta (key, value)
       SELECT 'deleted_ms', max(time_ms) FROM events WHERE ${OLDEST} HAVING count(*) > 0`,
    which,
  );
  return connection.run(`DELETE FROM events WHERE ${OLDEST}`, which).changes;
}

/** When the newest of the events was published that {@linkcode deleteOldest} has deleted; undefined when it has deleted none. */
export function lastDeletedMs(connection: SqliteConnection): number | undefined {
  const [row] = connection.rows("SELECT value FROM meta WHERE key = 'deleted_ms'");
  return row === undefined ? undefined : timeOf(Number(row.value));
}

/** @throws {UnusableFileError} for a row that apex cannot have written: readers rely on the types and on the format of the line */
function readEvent(row: SqlRow): StoredEvent {
  const { seq, type, task_id: taskId, container_id: containerId, line } = row;
  if (
    typeof type !== "string" || !isTextOrNull(taskId) || !isTextOrNull(containerId) || !isObjectLine(line)
  ) {
    throw new UnusableFileError(`event number ${seq} is invalid`);
  }
  return {
    seq: seqOf(seq),
    timeMs: timeOf(row.time_ms),
    type,
    taskId: taskId ?? undefined,
    containerId: containerId ?? undefined,
    // Parsed only when a filter asks for it, so it has no column.
    get containerName() {
      return containerNameIn(line);
    },
    line,
  };
}

function seqOf(value: SqlValue | undefined): number {
  if (Number.isInteger(value) && Number(value) > 0 && Number(value) <= MAX_SEQ) return Number(value);
  throw new UnusableFileError(`an event has the number ${value}`);
}

function timeOf(value: SqlValue | undefined): number {
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_TIME_MS) return Number(value);
  throw new UnusableFileError(`an event has the time ${value}`);
}

function isTextOrNull(value: SqlValue | undefined): value is string | null {
  return value === null || typeof value === "string";
}

/** Checks the ends of the line only: parsing each line would make resuming several times slower. */
function isObjectLine(value: SqlValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array && value.length > 2 && value[0] === OPENING_BRACE &&
    value.at(-1) === CLOSING_BRACE && !value.includes(NEWLINE);
}

function containerNameIn(line: Uint8Array): string | undefined {
  const text = decoder.decode(line);
  if (!text.includes(NAME_FIELD)) return undefined;
  try {
    const { containerName } = JSON.parse(text);
    return typeof containerName === "string" ? containerName : undefined;
  } catch (error) {
    // Damage within the line, which nothing has checked.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
