/**
 * `apex events` with flags: an extended subscription, printed. It knows up to where it has printed, and so can go on there
 * in another connection, to another daemon, or in another life by its cursor file.
 */
import { delay } from "@std/async/delay";
import { type LineStream, openLines } from "../client/line_stream.ts";
import { type EventLine, streamLines } from "../client/stream_lines.ts";
import { ApexError } from "../platform/apex_error.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import type { SocketPaths } from "../platform/directories.ts";
import { type Cursor, formatCursor, parseCursor } from "../protocol/cursor.ts";
import type { StreamRecord, StreamRecordOf } from "../protocol/stream_record.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import type { CliContext } from "./cli_context.ts";
import { CursorFile } from "./cursor_file.ts";
import type { EventOptions } from "./event_flags.ts";
import { printedEvents } from "./printed_events.ts";

/** Also without one asked for: under a filter that nothing passes, the cursor goes on by heartbeats. */
const HEARTBEAT_MS = 15_000;
/** A stream is broken that has missed so many of those which were asked for. */
const MISSED_HEARTBEATS = 3;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1_000;

/** How one connection ended: as a limit or a shutdown says, or without a word. */
type StreamEnd = "limit" | "shutdown" | "cut";

export interface ExtendedEventsOptions {
  readonly context: CliContext;
  readonly options: EventOptions;
  /** Ends it, with its reason. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export class ExtendedEvents implements Disposable {
  readonly #context: CliContext;
  readonly #options: EventOptions;
  readonly #signal: AbortSignal;
  readonly #file: CursorFile | undefined;
  readonly #write: (bytes: Uint8Array) => Promise<void>;
  /** Where to go on; unknown until the daemon has said where the stream begins. */
  #cursor: Cursor | undefined;
  #epoch = "";
  #left: number;
  #isSnapshotDue: boolean;

  /** @throws {ApexError} `usage` for a cursor file with something else in it */
  constructor({ context, options, signal, clock = systemClock }: ExtendedEventsOptions) {
    this.#context = context;
    this.#options = options;
    this.#signal = signal;
    const { cursorFile, timeoutMs } = options;
    if (cursorFile !== undefined) this.#file = new CursorFile(cursorFile, { clock });
    this.#cursor = this.#file?.read() ?? options.after;
    this.#left = options.limit ?? Infinity;
    this.#isSnapshotDue = options.wantsSnapshot;
    const { stdout } = context;
    // Signals and timers have to get through to it while nobody reads.
    const isInterruptible = cursorFile !== undefined || timeoutMs !== undefined;
    this.#write = isInterruptible ? (bytes) => stdout.relay(bytes) : (bytes) => stdout.write(bytes);
  }

  /** Subscribes, from where it stands. */
  open({ controlSocket }: SocketPaths): Promise<LineStream> {
    const { filter, sinceMs, heartbeatMs = HEARTBEAT_MS } = this.#options;
    const params = {
      ...filter,
      heartbeatMs,
      ...(this.#cursor !== undefined
        ? { after: formatCursor(this.#cursor) }
        : sinceMs !== undefined && { sinceMs }),
      ...(this.#isSnapshotDue && { snapshot: true }),
      ...(this.#left < Infinity && { limit: this.#left }),
    };
    return openLines(controlSocket, "events.subscribe", params, { signal: this.#signal });
  }

  /**
   * Prints what comes, until the limit or the daemon's end.
   *
   * @throws {ApexError} `stream_cut`; the signal's reason.
   */
  async print(first: LineStream, sockets: SocketPaths): Promise<void> {
    let stream = first;
    while (true) {
      const end = await this.#copy(stream);
      if (end === "limit" || this.#left === 0) return;
      if (!this.#options.reconnects) {
        if (end === "shutdown") return;
        throw this.#cut(sockets);
      }
      stream = await this.#openAgain(sockets, end);
    }
  }

  /** Writes the cursor file. */
  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }

  async #copy(stream: LineStream): Promise<StreamEnd> {
    using _ = stream;
    for (let piece = await this.#next(stream); piece !== null; piece = await this.#next(stream)) {
      let events: EventLine[] = [];
      for (const line of streamLines(piece)) {
        if (line.seq !== undefined) {
          events.push(line);
          continue;
        }
        await this.#printEvents(events);
        events = [];
        const end = line.record && await this.#take(line.record, line.line);
        if (end !== undefined) return end;
      }
      await this.#printEvents(events);
    }
    return "cut";
  }

  /** Null, too, when the stream has shown no sign of life for long, where one was asked for. */
  async #next(stream: LineStream): Promise<Uint8Array | null> {
    const { heartbeatMs } = this.#options;
    if (heartbeatMs === undefined) return await stream.next();
    const cancel = systemClock.after(heartbeatMs * MISSED_HEARTBEATS, () => stream[Symbol.dispose]());
    try {
      return await stream.next();
    } finally {
      cancel();
    }
  }

  async #printEvents(events: readonly EventLine[]): Promise<void> {
    const last = events.at(-1);
    if (last === undefined) return;
    await this.#write(printedEvents(events, this.#options.showsCursors ? this.#epoch : undefined));
    this.#left -= events.length;
    this.#printed({ epoch: this.#epoch, seq: last.seq });
  }

  async #take(record: StreamRecord, line: Uint8Array): Promise<StreamEnd | undefined> {
    switch (record.type) {
      case "stream.hello":
        this.#begin(record);
        return;
      case "stream.snapshot":
        await this.#write(line);
        this.#isSnapshotDue = false;
        return;
      case "stream.gap":
        await this.#write(line);
        this.#printed(cursorIn(record.to));
        if (!this.#options.failsOnGap) return;
        throw new ApexError(
          "stream_cut",
          `events are missing (${
            GAP_REASONS[record.reason]
          }): those after ${record.from}, up to ${record.to} ` +
            "(--fail-on-gap)",
        );
      case "stream.heartbeat":
        this.#printed(cursorIn(record.cursor));
        return;
      case "stream.bye":
        return record.reason === "limit" || record.reason === "shutdown" ? record.reason : "cut";
    }
  }

  #begin({ protocol, epoch, cursor }: StreamRecordOf<"stream.hello">): void {
    if (protocol !== PROTOCOL_VERSION) {
      throw new ApexError(
        "protocol",
        `the daemon speaks control protocol ${protocol}, this client ${PROTOCOL_VERSION}; restart it with this ` +
          "version of apex",
      );
    }
    this.#epoch = epoch;
    // Whoever begins in the past is told where by the first event.
    if (this.#cursor === undefined && this.#options.sinceMs === undefined) this.#printed(cursorIn(cursor));
  }

  #printed(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#epoch = cursor.epoch;
    this.#file?.printed(cursor);
  }

  async #openAgain(sockets: SocketPaths, end: StreamEnd): Promise<LineStream> {
    const { stderr } = this.#context;
    const what = end === "shutdown" ? "the daemon has shut down" : "the event stream broke off";
    await stderr.print(`apex: ${what}; trying to connect again`);
    let told = "";
    for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      await this.#pause(pauseMs);
      try {
        const stream = await this.open(sockets);
        const where = this.#cursor === undefined ? "" : `, going on after ${formatCursor(this.#cursor)}`;
        await stderr.print(`apex: connected again${where}`);
        return stream;
      } catch (error) {
        if (!(error instanceof ApexError && IS_PASSING.has(error.code)) || this.#signal.aborted) throw error;
        if (error.code === "no_daemon" || error.message === told) continue;
        told = error.message;
        await stderr.print(`apex: still trying to connect: ${told}`);
      }
    }
  }

  async #pause(pauseMs: number): Promise<void> {
    try {
      await delay(pauseMs, { signal: this.#signal });
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    }
  }

  #cut({ controlSocket }: SocketPaths): ApexError {
    const where = this.#cursor === undefined ? "" : ` (to go on: --after ${formatCursor(this.#cursor)})`;
    return new ApexError(
      "stream_cut",
      `the event stream from ${controlSocket} broke off: this reader took nothing for too long, or the daemon was ` +
        `killed${where}`,
    );
  }
}

const GAP_REASONS = {
  evicted: "they are not kept any more",
  epoch: "the log has begun anew",
  future: "the log is not as far as that",
} as const;

/** Nobody there, or too busy, or about to go: another try may do. A connection that ends before its reply is `protocol`. */
const IS_PASSING: ReadonlySet<string> = new Set([
  "no_daemon",
  "busy",
  "timeout",
  "engine",
  "protocol",
  "failed",
]);

function cursorIn(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor === undefined) throw new TypeError(`Cannot take ${text} for a cursor: its schema did`);
  return cursor;
}
