/**
 * The operations `events.*`. Lines follow their reply line, one JSON object each: events with `seq` as their first key, and
 * stream records (`stream_record.ts`) between them. The end of the client's input ends them, and nothing else.
 */
import * as v from "valibot";
import { parseCursor } from "./cursor.ts";
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
