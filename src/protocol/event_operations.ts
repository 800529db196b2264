/**
 * The operations `events.*`. Lines follow their reply line, one JSON object each: events, with `seq` as their first key, and
 * between them stream records, with a `type` that begins with `stream.` and no `seq`. Clients ignore records that they do not
 * know.
 */
import * as v from "valibot";
import { atLeastOne, declareOperations, epochMs, name } from "./operation.ts";

/** A position in the event log, written `<epoch>:<seq>`: after the event with that number, in the log of that epoch. */
export interface Cursor {
  /** 16 hex digits. */
  readonly epoch: string;
  /** 0: before the first event. */
  readonly seq: number;
}

/** Undefined if the text is not a cursor. */
export function parseCursor(text: string): Cursor | undefined {
  const match = /^([0-9a-f]{16}):(\d{1,16})$/.exec(text);
  if (match === null) return undefined;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined;
}

export function formatCursor({ epoch, seq }: Cursor): string {
  return `${epoch}:${seq}`;
}

const cursor = v.pipe(
  v.string(),
  v.check(
    (text) => parseCursor(text) !== undefined,
    ({ input }) =>
      `must be a cursor, not ${JSON.stringify(input)}: an epoch of 16 hex digits, a colon, and a number, ` +
      "0123456789abcdef:42 for example (apex events --seq shows them)",
  ),
);

/** The longest task id, container name or glob of a filter, in UTF-16 code units. */
export const MAX_FILTER_LENGTH = 256;
/** The largest number of globs in a filter. */
export const MAX_TYPES = 64;
/** A subscriber that asks for less would only keep the daemon busy. */
export const MIN_HEARTBEAT_MS = 100;
export const MAX_HEARTBEAT_MS = 24 * 60 * 60 * 1_000;

/** Selects the events that match `types`, `task` and `container`, as far as these are given. */
const filter = {
  /** Globs, `container.*` for example; one of them must match. */
  types: v.optional(v.pipe(v.array(name), v.minLength(1), v.maxLength(MAX_TYPES))),
  /** A task id. */
  task: v.optional(name),
  /** The name of a container, or a prefix of its id with four digits or more. */
  container: v.optional(name),
};

export const eventOperations = declareOperations({
  "events.subscribe": {
    description: "Follows the events, from the present or from an earlier position.",
    kind: "lines",
    http: { method: "GET", path: "/v1/events" },
    request: {
      ...filter,
      /** Resumes after this position; by default the stream begins with the present. */
      after: v.optional(cursor),
      /** In place of `after`: begins with the events that were published at this time or later. */
      sinceMs: v.optional(epochMs),
      /** Sends `stream.snapshot` first. */
      snapshot: v.optional(v.boolean()),
      /** Sends `stream.heartbeat` after this time without another line. */
      heartbeatMs: v.optional(v.pipe(v.number(), v.minValue(MIN_HEARTBEAT_MS), v.maxValue(MAX_HEARTBEAT_MS))),
      /** Ends with `stream.bye` after this number of events. */
      limit: v.optional(atLeastOne),
    },
    result: v.object({}),
  },
  "events.history": {
    description: "Sends events of the past from the journal, oldest first.",
    kind: "lines",
    http: { method: "GET", path: "/v1/events/history" },
    request: {
      ...filter,
      /** Published at this time or later. */
      sinceMs: v.optional(epochMs),
      /** Published before this time. */
      untilMs: v.optional(epochMs),
      /** Only the newest events, up to this number; still oldest first. */
      limit: v.optional(atLeastOne),
    },
    result: v.object({}),
  },
});

/** The schema of each stream record, as the daemon writes it. */
export const streamRecordSchemas = {
  /** The first line. */
  "stream.hello": v.object({
    type: v.literal("stream.hello"),
    /** The version of the control protocol. */
    protocol: v.number(),
    /** Of the log. With the `seq` of an event that follows, it makes that event's cursor. */
    epoch: v.string(),
    /** The position of the log when the subscription began. */
    cursor,
    /** The earliest position that a subscriber can resume from without a gap. */
    oldest: cursor,
  }),
  /**
   * The state that the events up to `cursor` have reported, and no more: a client that applies the events after `cursor` to it
   * gets every later snapshot. `containers` has the form of `containers.list`, except for `state`, `health` and `exitCode`
   * (see `SnapshotContainer`); `sessions`, and `tasks` that have not ended, have the form of their lists.
   */
  "stream.snapshot": v.object({
    type: v.literal("stream.snapshot"),
    containers: v.array(v.unknown()),
    sessions: v.array(v.unknown()),
    tasks: v.array(v.unknown()),
    cursor,
  }),
  /**
   * The events after `from`, up to and including `to`, are missing; the stream continues after `to`, in its epoch. `evicted`:
   * they are no longer stored. `epoch`: `from` is of another epoch; numbers that both epochs share are not missing. `future`:
   * `from` is after the newest event.
   */
  "stream.gap": v.object({
    type: v.literal("stream.gap"),
    from: cursor,
    to: cursor,
    reason: v.picklist(["evicted", "epoch", "future"]),
  }),
  /** No other line was sent for a while. All events up to `cursor` were sent, or do not match the filter. */
  "stream.heartbeat": v.object({ type: v.literal("stream.heartbeat"), cursor }),
  /** The last line. `end`: the history is complete. */
  "stream.bye": v.object({ type: v.literal("stream.bye"), reason: v.picklist(["shutdown", "limit", "end"]) }),
} as const;

export type StreamRecordType = keyof typeof streamRecordSchemas;

/** The record of one type. */
export type StreamRecordOf<T extends StreamRecordType> = v.InferOutput<(typeof streamRecordSchemas)[T]>;

/** Any record, as the daemon writes it. */
export type StreamRecord = { [T in StreamRecordType]: StreamRecordOf<T> }[StreamRecordType];

export type GapReason = StreamRecordOf<"stream.gap">["reason"];

/** As a client accepts them: a newer daemon may have further reasons. */
export const receivedRecordSchemas = {
  ...streamRecordSchemas,
  "stream.gap": v.object({ ...streamRecordSchemas["stream.gap"].entries, reason: v.string() }),
  "stream.bye": v.object({ ...streamRecordSchemas["stream.bye"].entries, reason: v.string() }),
} as const;

/** Any record, as a client accepts it. */
export type ReceivedRecord = {
  [T in StreamRecordType]: v.InferOutput<(typeof receivedRecordSchemas)[T]>;
}[StreamRecordType];
