/**
 * What stands between the events of an extended subscription (`events.subscribe`), one JSON object a line like them. An
 * event has `seq` as its first key; a record has none, and a `type` that begins with `stream.`. Clients ignore records that
 * they do not know. A cursor (`cursor.ts`) stands after the event of its number.
 */
import * as v from "valibot";
import { parseCursor } from "./cursor.ts";

const cursor = v.pipe(
  v.string(),
  v.check(
    (text) => parseCursor(text) !== undefined,
    "must be a cursor: 16 hex digits, a colon and a number",
  ),
);

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
