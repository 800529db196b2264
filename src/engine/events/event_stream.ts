/**
 * Decodes the bytes of `/events` into engine events. A chunk is not an event: the bytes are decoded as one stream and
 * split at LF, whatever Content-Type says. From API 1.52 on, an object may be preceded by a record separator (0x1E).
 */
import type { Logger } from "../../platform/logger.ts";
import type { EngineKind } from "../engine_types.ts";
import { cancelOnAbort, cancelReader, linesOf } from "../http/reply_body.ts";

/** One object of the engine's `/events`, reduced to the fields that every engine and version has. */
export interface EngineEvent {
  /** `container`, `image`, `network` … */
  readonly type: string;
  /** In the engine's spelling: `die`, `health_status: healthy`, Podman's `remove` … */
  readonly action: string;
  /** The container's full id. */
  readonly id: string;
  /** The attributes and labels in one map: a label may overwrite an attribute of the same name (docs/engines.md). */
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the Unix epoch, exact to 256 ns. */
  readonly timeNano: number;
  /** Podman's top-level `HealthStatus`. */
  readonly healthStatus?: string;
}

/** A real event is under 4 KiB; labels can make it longer, but no valid event is this long. */
const MAX_EVENT_LINE_BYTES = 1024 * 1024;

/** The number of invalid lines that are logged per stream, so that a broken peer cannot fill the log. */
const MAX_LOGGED_LINES = 10;
const RECORD_SEPARATOR = 0x1e;

export interface ReadEventsOptions {
  readonly logger: Logger;
  /** Ends the stream: the iteration throws its reason, and the body is cancelled. */
  readonly abort?: AbortSignal;
  readonly maxLineBytes?: number;
}

/** The events of one `/events` body, in order; iterate only once. Ends with the body; throws what reading it throws. */
export function readEvents(
  body: ReadableStream<Uint8Array>,
  { logger, abort, maxLineBytes = MAX_EVENT_LINE_BYTES }: ReadEventsOptions,
): AsyncIterable<EngineEvent> {
  const skipped = skippedLines(logger);
  const reader = linesOf(body, {
    maxLineBytes,
    onTooLong: (bytes) => skipped(`it has ${bytes} bytes, more than ${maxLineBytes}`),
  });
  return { [Symbol.asyncIterator]: () => new EventIterator(reader, { skipped, abort }) };
}

/** A hand-written iterator: an async generator costs a third more per event. */
class EventIterator implements AsyncIterator<EngineEvent, undefined> {
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #skipped: (why: string) => void;
  readonly #abort: AbortSignal | undefined;
  readonly #release: () => void;

  constructor(
    reader: ReadableStreamDefaultReader<string>,
    { skipped, abort }: { skipped: (why: string) => void; abort: AbortSignal | undefined },
  ) {
    this.#reader = reader;
    this.#skipped = skipped;
    this.#abort = abort;
    this.#release = cancelOnAbort(reader, abort);
  }

  async next(): Promise<IteratorResult<EngineEvent, undefined>> {
    while (true) {
      const { done, value: line } = await this.#reader.read();
      if (this.#abort?.aborted) throw this.#abort.reason;
      if (done) {
        this.#release();
        return { done: true, value: undefined };
      }
      const event = this.#parse(line);
      if (event !== undefined) return { done: false, value: event };
    }
  }

  async return(): Promise<IteratorResult<EngineEvent, undefined>> {
    this.#release();
    await cancelReader(this.#reader);
    return { done: true, value: undefined };
  }

  #parse(line: string): EngineEvent | undefined {
    try {
      return parseEngineEvent(line);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#skipped(`${error.message}: ${line.slice(0, 80)}`);
      return undefined;
    }
  }
}

/**
 * Parses one line of `/events`. `undefined` for an empty line, and for the `exec_*` events of health probes, which
 * Podman cannot filter out.
 * @throws {SyntaxError} when the line is not an event
 */
export function parseEngineEvent(line: string): EngineEvent | undefined {
  const text = line.charCodeAt(0) === RECORD_SEPARATOR ? line.slice(1) : line;
  if (text === "" || text === "\r") return undefined;
  const raw: unknown = JSON.parse(text);
  if (!isRecord(raw) || !isRecord(raw.Actor)) throw new SyntaxError("not an event object");
  const { Type, Action, Actor, time, timeNano, HealthStatus } = raw;
  if (typeof Type !== "string" || typeof Action !== "string" || typeof Actor.ID !== "string") {
    throw new SyntaxError("an event without Type, Action or Actor.ID");
  }
  if (Action.startsWith("exec")) return undefined;
  const nano = typeof timeNano === "number" ? timeNano : typeof time === "number" ? time * 1e9 : undefined;
  if (nano === undefined) throw new SyntaxError("an event without a time");
  const event = { type: Type, action: Action, id: Actor.ID, attributes: attributesOf(Actor), timeNano: nano };
  return typeof HealthStatus === "string" && HealthStatus !== ""
    ? { ...event, healthStatus: HealthStatus }
    : event;
}

function attributesOf(actor: Record<string, unknown>): Record<string, string> {
  const attributes = actor.Attributes;
  if (attributes === undefined || attributes === null) return {};
  if (!isRecord(attributes)) throw new SyntaxError("attributes that are not an object");
  for (const name in attributes) {
    if (typeof attributes[name] !== "string") {
      throw new SyntaxError(`an attribute ${name} that is not a string`);
    }
  }
  return attributes as Record<string, string>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function skippedLines(logger: Logger): (why: string) => void {
  let count = 0;
  return (why) => {
    count++;
    if (count < MAX_LOGGED_LINES) logger.warn(`skipped a line of the engine's event stream: ${why}`);
    if (count === MAX_LOGGED_LINES) {
      logger.warn(`skipped ${count} lines of the engine's event stream; further ones are not logged`);
    }
  };
}

/**
 * The actions that change a container's state or name. With this filter Docker leaves out `exec_*` (three per health
 * probe), `attach`, `resize`, `top` and `copy`. The bare `health_status` makes Docker match all of these as prefixes
 * (moby#25798), which lets `health_status: unhealthy` through.
 */
const DOCKER_EVENT_ACTIONS = [
  "create",
  "start",
  "restart",
  "kill",
  "oom",
  "die",
  "stop",
  "pause",
  "unpause",
  "rename",
  "destroy",
  "health_status",
] as const;

/** The `filters` of `/events` that select the changes of containers, and as little else as the engine allows. */
export function eventFilters(kind: EngineKind): Readonly<Record<string, readonly string[]>> {
  // Podman has other names for its actions, and refuses unknown filters.
  return kind === "podman" ? { type: ["container"] } : { type: ["container"], event: DOCKER_EVENT_ACTIONS };
}
