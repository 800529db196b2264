/**
 * The statements on the `events` table. Each one takes a bounded number of rows and of bytes, because it holds up the event
 * loop: whoever wants more calls again.
 */
import { DamageError, type SqliteConnection, type SqlRow, type SqlValue } from "../sqlite_connection.ts";
import type { EventFacts } from "./event_filter.ts";

/** No event has a greater number: there is room for a million a second for a century. */
export const MAX_SEQ = 2 ** 52;

/** Beyond it is no date. */
const MAX_TIME_MS = 8.64e15;

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const NEWLINE = 0x0a;

/** How much one call may read. One event is always read, whatever its size. */
export interface ChunkOptions {
  readonly maxRows: number;
  readonly maxBytes: number;
  /** Only the events of this task. */
  readonly taskId?: string | undefined;
}

const INSERT =
  "INSERT INTO events (seq, time_ms, type, task_id, container_id, line) VALUES (?, ?, ?, ?, ?, ?)";

const COLUMNS = "seq, time_ms, type, task_id, container_id, line";

const AFTER = { where: "seq > :from", order: "ASC", fit: "max", first: "min" };
const BEFORE = { where: "seq < :from", order: "DESC", fit: "min", first: "max" };

type Direction = typeof AFTER;

/** Where a chunk ends: `length` of a blob does not read it. */
const endSql = ({ where, order, fit, first }: Direction, task: string): string => `
  SELECT ${fit}(CASE WHEN total <= :bytes THEN seq END) AS fit, ${first}(seq) AS first FROM (
    SELECT seq, sum(bytes) OVER (ORDER BY seq ${order}) AS total FROM (
      SELECT seq, length(line) AS bytes FROM events WHERE ${where} ${task} ORDER BY seq ${order} LIMIT :rows))`;

const chunkSql = ({ order, where }: Direction, task: string): string => `
  SELECT ${COLUMNS} FROM events WHERE ${where} ${task}
    AND seq ${order === "ASC" ? "<=" : ">="} :to ORDER BY seq ${order}`;

const BY_TASK = "AND task_id = :task";

/** Each text once: the connection keeps a prepared statement for each. */
const SQL = {
  after: { end: endSql(AFTER, ""), chunk: chunkSql(AFTER, "") },
  before: { end: endSql(BEFORE, ""), chunk: chunkSql(BEFORE, "") },
  taskAfter: { end: endSql(AFTER, BY_TASK), chunk: chunkSql(AFTER, BY_TASK) },
  taskBefore: { end: endSql(BEFORE, BY_TASK), chunk: chunkSql(BEFORE, BY_TASK) },
} as const;

/** Adds rows, the next `seq` first. */
export function insertEvents(
  connection: SqliteConnection,
  { lines, timeMs }: { lines: readonly JournalLine[]; timeMs: number },
): void {
  const insert = connection.prepared(INSERT);
  for (const { seq, type, taskId, containerId, bytes } of lines) {
    insert(seq, timeMs, type, taskId ?? null, containerId ?? null, bytes.subarray(0, -1));
  }
}

/** The next events after `seq`, the oldest first. */
export function eventsAfter(
  connection: SqliteConnection,
  { seq, ...options }: ChunkOptions & { readonly seq: number },
): StoredEvent[] {
  return chunk(connection, options.taskId === undefined ? SQL.after : SQL.taskAfter, { ...options, seq });
}

/** The last events before `seq`, the newest first. */
export function eventsBefore(
  connection: SqliteConnection,
  { seq, ...options }: ChunkOptions & { readonly seq: number },
): StoredEvent[] {
  return chunk(connection, options.taskId === undefined ? SQL.before : SQL.taskBefore, { ...options, seq });
}

/** The `seq` of the oldest and of the newest row; undefined when there is none. @throws {DamageError} */
export function eventRange(connection: SqliteConnection): { oldest: number; newest: number } | undefined {
  // Two subqueries: for both at once SQLite would read the whole table.
  const [row] = connection.rows(
    "SELECT (SELECT min(seq) FROM events) AS oldest, (SELECT max(seq) FROM events) AS newest",
  );
  if (row === undefined || row.oldest === null) return undefined;
  return { oldest: seqOf(row.oldest), newest: seqOf(row.newest) };
}

/** The `seq` of the newest row before `seq`; undefined when there is none. */
export function newestBefore(connection: SqliteConnection, seq: number): number | undefined {
  const [row] = connection.rows("SELECT max(seq) AS newest FROM events WHERE seq < :seq", { seq });
  return row === undefined || row.newest === null ? undefined : seqOf(row.newest);
}

/** When the first event with that `seq` or a greater one was published. @throws {DamageError} */
export function timeAt(connection: SqliteConnection, seq: number): number | undefined {
  const [row] = connection.rows(
    "SELECT time_ms FROM events WHERE seq >= :seq ORDER BY seq LIMIT 1",
    { seq },
  );
  return row === undefined ? undefined : timeOf(row.time_ms);
}

/** The `seq` of the first event that was published at `timeMs` or later; one past the newest when there is none. */
export function firstSeqAt(connection: SqliteConnection, timeMs: number): number {
  const range = eventRange(connection);
  if (range === undefined) return 1;
  let low = range.oldest;
  let high = range.newest + 1;
  // Times never fall, so halving finds it without an index of times.
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((timeAt(connection, middle) ?? Infinity) < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

const OLDEST = `time_ms < :before AND seq < (SELECT max(seq) FROM events)
  AND seq IN (SELECT seq FROM events ORDER BY seq LIMIT :rows)`;

/**
 * Deletes the oldest rows: `maxRows` at most, only those published before `beforeMs`, never the newest. Notes when the last
 * of them was published.
 * @returns how many it were
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

/** When the newest of the events was published that were deleted for their age, or for their number; undefined: none was. */
export function lastDeletedMs(connection: SqliteConnection): number | undefined {
  const [row] = connection.rows("SELECT value FROM meta WHERE key = 'deleted_ms'");
  return row === undefined ? undefined : timeOf(Number(row.value));
}

function chunk(
  connection: SqliteConnection,
  sql: { readonly end: string; readonly chunk: string },
  { seq, maxRows, maxBytes, taskId }: ChunkOptions & { readonly seq: number },
): StoredEvent[] {
  const task = taskId === undefined ? {} : { task: taskId };
  const [end] = connection.rows(sql.end, { from: seq, rows: maxRows, bytes: maxBytes, ...task });
  const to = end?.fit ?? end?.first ?? null;
  if (to === null) return [];
  return connection.rows(sql.chunk, { from: seq, to, ...task }).map(readEvent);
}

/** @throws {DamageError} for a row that was not written so: whoever reads relies on what is here */
function readEvent(row: SqlRow): StoredEvent {
  const { seq, type, task_id: taskId, container_id: containerId, line } = row;
  if (
    typeof type !== "string" || !isTextOrNull(taskId) || !isTextOrNull(containerId) || !isObjectLine(line)
  ) {
    throw new DamageError(`its event number ${seq} is none`);
  }
  return new StoredEvent({
    seq: seqOf(seq),
    timeMs: timeOf(row.time_ms),
    type,
    taskId: taskId ?? undefined,
    containerId: containerId ?? undefined,
    line,
  });
}

function seqOf(value: SqlValue | undefined): number {
  if (Number.isInteger(value) && Number(value) > 0 && Number(value) <= MAX_SEQ) return Number(value);
  throw new DamageError(`it has an event with the number ${value}`);
}

function timeOf(value: SqlValue | undefined): number {
  if (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_TIME_MS) return Number(value);
  throw new DamageError(`it has an event of the time ${value}`);
}

function isTextOrNull(value: SqlValue | undefined): value is string | null {
  return value === null || typeof value === "string";
}

/** One line that may be a JSON object: to parse each would make resuming several times as slow. */
function isObjectLine(value: SqlValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array && value.length > 2 && value[0] === OPENING_BRACE &&
    value.at(-1) === CLOSING_BRACE && !value.includes(NEWLINE);
}

/** One line of the event log, as it goes into the journal. */
export interface JournalLine {
  readonly seq: number;
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  /** The whole event with its newline. */
  readonly bytes: Uint8Array;
}

const NAME_FIELD = '"containerName":';
const decoder = new TextDecoder();

/** One event of the journal. */
export class StoredEvent implements EventFacts {
  readonly seq: number;
  /** When it was published, in milliseconds since the Unix epoch; never less than that of the event before. */
  readonly timeMs: number;
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  /** The whole event without a newline; of a session's, an earlier version wrote the type alone. */
  readonly line: Uint8Array;

  constructor(fields: Omit<StoredEvent, "containerName">) {
    this.seq = fields.seq;
    this.timeMs = fields.timeMs;
    this.type = fields.type;
    this.taskId = fields.taskId;
    this.containerId = fields.containerId;
    this.line = fields.line;
  }

  /** Looked up in the line: it has no column, because nearly nobody asks. */
  get containerName(): string | undefined {
    const text = decoder.decode(this.line);
    if (!text.includes(NAME_FIELD)) return undefined;
    const containerName = nameIn(text);
    return typeof containerName === "string" ? containerName : undefined;
  }
}

function nameIn(text: string): unknown {
  try {
    return JSON.parse(text).containerName;
  } catch (error) {
    // Damage within the line, which nobody has looked for: it names no container.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
