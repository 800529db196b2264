/**
 * `apex events` with flags: an extended subscription, printed. It knows up to where it has printed, and so can go on there
 * in another connection, to another daemon, or in another life by its cursor file.
 */
import { type LineStream, openLines } from "../../client/line_stream.ts";
import { type EventLine, streamLines } from "../../client/stream_lines.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { type Clock, systemClock } from "../../platform/clock.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import {
  type Cursor,
  formatCursor,
  parseCursor,
  type ReceivedRecord,
  type StreamRecordOf,
} from "../../protocol/event_messages.ts";
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import type { EventOptions } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { CursorFile } from "../connection/cursor_file.ts";
import { heardLines, silenceMs } from "../connection/heard_lines.ts";
import { reconnect } from "../connection/reconnect.ts";
import { ATOMIC_BYTES, LinePrinter } from "../output/line_printer.ts";
import { printedEvents } from "../output/printed_events.ts";
import { endOf, gapReason, type StreamEnd } from "../output/stream_end.ts";
import { printable } from "../output/table.ts";

/** Also without one asked for: under a filter that nothing passes, the cursor goes on by heartbeats. */
const HEARTBEAT_MS = 15_000;

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
  readonly #clock: Clock;
  readonly #file: CursorFile | undefined;
  /** Undefined where nothing ends it but the process's own end: blocking writes take a third of the time. */
  readonly #printer: LinePrinter | undefined;
  /** Where to go on; unknown until the daemon has said where the stream begins. */
  #cursor: Cursor | undefined;
  #epoch = "";
  #left: number;
  #isSnapshotDue: boolean;

  /** @throws {ApexError} `usage` for a cursor file with something else in it, or that is no regular file */
  constructor({ context, options, signal, clock = systemClock }: ExtendedEventsOptions) {
    this.#context = context;
    this.#options = options;
    this.#signal = signal;
    this.#clock = clock;
    const { cursorFile, timeoutMs } = options;
    if (cursorFile !== undefined) this.#file = new CursorFile(cursorFile, { clock });
    this.#cursor = this.#file?.read() ?? options.after;
    this.#left = options.limit ?? Infinity;
    this.#isSnapshotDue = options.wantsSnapshot;
    // Signals and timers have to get through to it while nobody reads.
    const isInterruptible = cursorFile !== undefined || timeoutMs !== undefined;
    if (isInterruptible) this.#printer = new LinePrinter({ output: context.stdout, signal, clock });
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
   * Says that there is no daemon, and subscribes as soon as there is one.
   *
   * @throws what subscribing throws for good; the signal's reason
   */
  async waitForDaemon(sockets: SocketPaths, missing: ApexError): Promise<LineStream> {
    await this.#context.stderr.print(`apex: ${missing.message} (--reconnect waits for it)`);
    return await this.#reopen(sockets, "connected");
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
        throw this.#cut(sockets, end);
      }
      await this.#context.stderr.print(`apex: ${this.#whatEnded(end)}; trying to connect again`);
      stream = await this.#reopen(sockets, "connected again");
    }
  }

  /** Once the signal is aborted: resolves when it is known what was printed, in half a second at most. */
  async finish(): Promise<void> {
    this.#file?.flush();
    await this.#printer?.finish();
  }

  /** Writes the cursor file. */
  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }

  async #copy(stream: LineStream): Promise<StreamEnd> {
    using _ = stream;
    const options = { heartbeatMs: this.#options.heartbeatMs, clock: this.#clock };
    while (true) {
      const piece = await heardLines(stream, options);
      if (typeof piece === "string") return piece;
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
  }

  async #printEvents(events: readonly EventLine[]): Promise<void> {
    const epoch = this.#options.showsCursors ? this.#epoch : undefined;
    const maxBytes = this.#printer === undefined ? Infinity : ATOMIC_BYTES;
    for (const { bytes, count, seq } of printedEvents(events, { epoch, maxBytes })) {
      await this.#print(bytes, () => {
        this.#left -= count;
        this.#printed({ epoch: this.#epoch, seq });
      });
    }
  }

  async #print(lines: Uint8Array, printed: () => void): Promise<void> {
    if (this.#printer !== undefined) return await this.#printer.print(lines, printed);
    await this.#context.stdout.write(lines);
    printed();
  }

  async #take(record: ReceivedRecord, line: Uint8Array): Promise<StreamEnd | undefined> {
    switch (record.type) {
      case "stream.hello":
        this.#begin(record);
        return;
      case "stream.snapshot":
        await this.#print(line, () => this.#isSnapshotDue = false);
        return;
      case "stream.gap":
        await this.#print(line, () => this.#printed(cursorIn(record.to)));
        if (!this.#options.failsOnGap) return;
        throw new ApexError(
          "stream_cut",
          `events are missing (${
            gapReason(record.reason)
          }): those after ${record.from}, up to ${record.to} ` +
            "(--fail-on-gap)",
        );
      case "stream.heartbeat":
        this.#printed(cursorIn(record.cursor));
        return;
      case "stream.bye":
        return endOf(record.reason);
    }
  }

  #begin({ protocol, epoch, cursor }: StreamRecordOf<"stream.hello">): void {
    if (protocol !== PROTOCOL_VERSION) {
      throw new ApexError(
        "protocol",
        `the daemon speaks control protocol ${protocol}, this client ${PROTOCOL_VERSION}; restart it with this ` +
          "version: apex restart",
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

  async #reopen(sockets: SocketPaths, what: string): Promise<LineStream> {
    const { stderr, checkDaemon } = this.#context;
    let told = "";
    const open = async () => {
      await checkDaemon(sockets);
      return await this.open(sockets);
    };
    const stream = await reconnect(open, {
      signal: this.#signal,
      withinMs: Infinity,
      onObstacle: async (error) => {
        if (error instanceof ApexError && error.code === "no_daemon" || messageOf(error) === told) return;
        told = messageOf(error);
        await stderr.print(`apex: still trying to connect: ${told}`);
      },
    });
    const where = this.#cursor === undefined ? "" : `, going on after ${formatCursor(this.#cursor)}`;
    await stderr.print(`apex: ${what}${where}`);
    return stream;
  }

  #whatEnded(end: StreamEnd): string {
    if (end === "shutdown") return "the daemon has shut down";
    if (typeof end === "object") return `the daemon ended the event stream (${printable(end.reason)})`;
    return end === "silent" ? this.#silence() : "the event stream broke off";
  }

  #silence(): string {
    const { heartbeatMs = HEARTBEAT_MS } = this.#options;
    return `no heartbeat came for ${silenceMs(heartbeatMs) / 1_000} s`;
  }

  #cut({ controlSocket }: SocketPaths, end: Exclude<StreamEnd, "limit" | "shutdown">): ApexError {
    const why = end === "silent"
      ? `${this.#silence()} (--heartbeat); the daemon hangs, or was stopped`
      : end === "cut"
      ? "this reader took nothing for too long, or the daemon was killed"
      : `the daemon ended it (${printable(end.reason)})`;
    const where = this.#cursor === undefined ? "" : ` (to go on: --after ${formatCursor(this.#cursor)})`;
    return new ApexError("stream_cut", `the event stream from ${controlSocket} broke off: ${why}${where}`);
  }
}

function cursorIn(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor === undefined) throw new TypeError(`Cannot take ${text} for a cursor: its schema did`);
  return cursor;
}
