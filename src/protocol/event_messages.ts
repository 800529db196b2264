/**
 * The operations `events.*`. Lines follow their reply line, one JSON object each: events with `seq` as their first key, and
 * stream records (`stream_record.ts`) between them. The end of the client's input ends them, and nothing else.
 */
import * as v from "valibot";
import { requestSchema } from "./request_schema.ts";

/** The longest of a filter's words, in UTF-16 code units; none is empty. */
export const MAX_FILTER_LENGTH = 256;
/** How many globs a filter may have; one at least. */
export const MAX_TYPES = 64;
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(MAX_FILTER_LENGTH));
/** Milliseconds since the Unix epoch. */
const time = v.pipe(v.number(), v.finite(), v.minValue(0));
const atLeastOne = v.pipe(v.number(), v.integer(), v.minValue(1));
/** A subscriber that asks for less than this wants to keep the daemon busy. */
export const MIN_HEARTBEAT_MS = 100;
export const MAX_HEARTBEAT_MS = 24 * 60 * 60 * 1_000;

const cursor = v.pipe(
  v.string(),
  v.check(
    (text) => parseCursor(text) !== undefined,
    ({ input }) =>
      `must be a cursor, not ${JSON.stringify(input)}: an epoch of 16 hex digits, a colon, and a number, ` +
      "0123456789abcdef:42 for example (apex events --seq shows them)",
  ),
);

/** Which events; what is asked of types, task and container must all be so. */
const filter = {
  /** Globs, `container.*` for example; one that matches is enough. */
  types: v.optional(v.pipe(v.array(name), v.minLength(1), v.maxLength(MAX_TYPES))),
  /** A task's id. */
  task: v.optional(name),
  /** The exact name of a container, or a prefix of its id of four digits at least. */
  container: v.optional(name),
};

/** One schema for each operation. */
export const eventRequestSchemas = {
  "events.subscribe": requestSchema("events.subscribe", {
    ...filter,
    /** Resumes after this one; else it begins with the present. */
    after: v.optional(cursor),
    /** Without `after`: begins with what was published then or later. */
    sinceMs: v.optional(time),
    /** Sends `stream.snapshot` first. */
    snapshot: v.optional(v.boolean()),
    /** Sends `stream.heartbeat` when nothing else was sent for so long. */
    heartbeatMs: v.optional(
      v.pipe(v.number(), v.minValue(MIN_HEARTBEAT_MS), v.maxValue(MAX_HEARTBEAT_MS)),
    ),
    /** Ends with `stream.bye` after so many events. */
    limit: v.optional(atLeastOne),
  }),
  "events.history": requestSchema("events.history", {
    ...filter,
    /** Published then or later. */
    sinceMs: v.optional(time),
    /** Published before then. */
    untilMs: v.optional(time),
    /** Only the newest so many of those; they come oldest first all the same. */
    limit: v.optional(atLeastOne),
  }),
} as const;

/** The schema of what the reply line says. */
export const eventResultSchemas = {
  "events.subscribe": v.object({}),
  "events.history": v.object({}),
} as const;

export type EventOp = keyof typeof eventRequestSchemas;

/** The request of one operation, validated. */
export type EventRequestOf<Op extends EventOp> = v.InferOutput<(typeof eventRequestSchemas)[Op]>;

/**
 * What stands between the events of an extended subscription (`events.subscribe`), one JSON object a line like them. An
 * event has `seq` as its first key; a record has none, and a `type` that begins with `stream.`. Clients ignore records that
 * they do not know. A cursor (`cursor.ts`) stands after the event of its number.
 */

/** One schema for each record, as the daemon writes it. */
export const streamRecordSchemas = {
  /** The first line. */
  "stream.hello": v.object({
    type: v.literal("stream.hello"),
    /** The control protocol's version. */
    protocol: v.number(),
    /** Of the log now. With the `seq` of each event that follows it makes that event's cursor. */
    epoch: v.string(),
    /** Where the log stood when the subscription began. */
    cursor,
    /** The earliest cursor that could be resumed from without a gap. */
    oldest: cursor,
  }),
  /**
   * What the events up to `cursor` have told, and no more: with the events after it, it makes every later snapshot.
   * `containers` as `containers.list` tells them, but for `state`, `health` and `exitCode` (`snapshot_state.ts`); `sessions`
   * and `tasks` (those that have not ended) as their lists do.
   */
  "stream.snapshot": v.object({
    type: v.literal("stream.snapshot"),
    containers: v.array(v.unknown()),
    sessions: v.array(v.unknown()),
    tasks: v.array(v.unknown()),
    cursor,
  }),
  /**
   * What comes after `from`, up to and with `to`, is missing; the stream goes on after `to`, in its epoch.
   * `evicted`: it is kept no longer. `epoch`: `from` is of another epoch; the numbers that both epochs share are not
   * missing. `future`: the log has not come as far as `from`.
   */
  "stream.gap": v.object({
    type: v.literal("stream.gap"),
    from: cursor,
    to: cursor,
    reason: v.picklist(["evicted", "epoch", "future"]),
  }),
  /** Nothing else was sent for a while. All events up to `cursor` were sent, or are of no interest to the filter. */
  "stream.heartbeat": v.object({ type: v.literal("stream.heartbeat"), cursor }),
  /** The last line. `end`: of the past (`events.history`), there is no more of it. */
  "stream.bye": v.object({
    type: v.literal("stream.bye"),
    reason: v.picklist(["shutdown", "limit", "end"]),
  }),
} as const;

export type StreamRecordType = keyof typeof streamRecordSchemas;

/** The record of one type. */
export type StreamRecordOf<T extends StreamRecordType> = v.InferOutput<(typeof streamRecordSchemas)[T]>;

/** Any record. */
export type StreamRecord = { [T in StreamRecordType]: StreamRecordOf<T> }[StreamRecordType];

export type GapReason = StreamRecordOf<"stream.gap">["reason"];
export type ByeReason = StreamRecordOf<"stream.bye">["reason"];

/** As a client takes them: the daemon may be newer and have other reasons. */
export const receivedRecordSchemas = {
  ...streamRecordSchemas,
  "stream.gap": v.object({ ...streamRecordSchemas["stream.gap"].entries, reason: v.string() }),
  "stream.bye": v.object({ ...streamRecordSchemas["stream.bye"].entries, reason: v.string() }),
} as const;

/** Any record, as a client finds it. */
export type ReceivedRecord = {
  [T in StreamRecordType]: v.InferOutput<(typeof receivedRecordSchemas)[T]>;
}[StreamRecordType];

/** A position in the event log, written `<epoch>:<seq>`: after the event with that number, in the log of that epoch. */
export interface Cursor {
  /** 16 hex digits. */
  readonly epoch: string;
  /** 0: before the first event. */
  readonly seq: number;
}

/** Undefined for what is no cursor. */
export function parseCursor(text: string): Cursor | undefined {
  const match = /^([0-9a-f]{16}):(\d{1,16})$/.exec(text);
  if (match === null) return undefined;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined;
}

export function formatCursor({ epoch, seq }: Cursor): string {
  return `${epoch}:${seq}`;
}
