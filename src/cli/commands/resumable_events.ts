/**
 * A resumable subscription of `apex events`, printed to stdout. It knows the cursor of the last printed event, so it can
 * resume there on another connection, with another daemon, and, from its cursor file, in another process. Owns the cursor
 * file and the writes to stdout.
 */
import { type EventLine, type LineStream, openLines, streamLines } from "../../client/line_stream.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { systemClock } from "../../platform/clock.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import {
  type Cursor,
  formatCursor,
  parseCursor,
  type ReceivedRecord,
  type StreamRecordOf,
} from "../../protocol/event_operations.ts";
import { PROTOCOL_VERSION } from "../../protocol/version.ts";
import type { EventOptions } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { CursorFile } from "../connection/cursor_file.ts";
import { endOf, gapReason, nextLines, silenceMs, type StreamEnd } from "../connection/next_lines.ts";
import { reconnect } from "../connection/reconnect.ts";
import { ATOMIC_BYTES, LinePrinter, printedEvents } from "../output/line_printer.ts";
import { printable } from "../output/table.ts";

/** Requested even without `--heartbeat`: heartbeats advance the cursor when no event passes the filter. */
const HEARTBEAT_MS = 15_000;

export class ResumableEvents implements Disposable {
  readonly #context: CliContext;
  readonly #options: EventOptions & { readonly abort: AbortSignal };
  readonly #file: CursorFile | undefined;
  /** Undefined if only the end of the process can interrupt it: then blocking writes take a third of the time. */
  readonly #printer: LinePrinter | undefined;
  /** Where to resume; unknown until the daemon has sent the start of the stream. */
  #cursor: Cursor | undefined;
  #epoch = "";
  #left: number;
  #isSnapshotDue: boolean;

  /**
   * @param options with `abort`, which ends it, with its reason
   * @throws {ApexError} `usage` if the cursor file does not contain a cursor, or is not a regular file
   */
  constructor(context: CliContext, options: EventOptions & { readonly abort: AbortSignal }) {
    this.#context = context;
    this.#options = options;
    const { cursorFile, timeoutMs, abort } = options;
    if (cursorFile !== undefined) this.#file = new CursorFile(cursorFile, { clock: systemClock });
    this.#cursor = this.#file?.read() ?? options.after;
    this.#left = options.limit ?? Infinity;
    this.#isSnapshotDue = options.snapshot ?? false;
    // Signals and timers must work while the reader is paused.
    const isInterruptible = cursorFile !== undefined || timeoutMs !== undefined;
    if (isInterruptible) {
      this.#printer = new LinePrinter({ output: context.stdout, abort, clock: systemClock });
    }
  }

  /** Subscribes from the current cursor. */
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
    return openLines(controlSocket, "events.subscribe", params, { abort: this.#options.abort });
  }

  /**
   * Prints that no daemon runs, and subscribes as soon as one does.
   *
   * @throws the first error of a subscription that is not transient; the reason of the abort
   */
  async waitForDaemon(sockets: SocketPaths, missing: ApexError): Promise<LineStream> {
    await this.#context.stderr.print(`apex: ${missing.message} (waiting for it: --reconnect)`);
    return await this.#reopen(sockets, "connected");
  }

  /**
   * Prints events until the limit, or the daemon's shutdown.
   *
   * @throws {ApexError} `stream_cut`; the reason of the abort
   */
  async print(first: LineStream, sockets: SocketPaths): Promise<void> {
    let stream = first;
    while (true) {
      const end = await this.#copy(stream);
      if (end === "limit" || this.#left === 0) return;
      if (!this.#options.reconnect) {
        if (end === "shutdown") return;
        throw this.#brokenOff(sockets, end);
      }
      await this.#context.stderr.print(`apex: ${this.#describe(end)}; reconnecting`);
      stream = await this.#reopen(sockets, "reconnected");
    }
  }

  /** After the abort: resolves when it is known which events are printed, within half a second. */
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
    while (true) {
      const piece = await nextLines(stream, { heartbeatMs: this.#options.heartbeatMs });
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
    const epoch = this.#options.seq ? this.#epoch : undefined;
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
      case "stream.gap": {
        const { from, to, reason } = record;
        await this.#print(line, () => this.#printed(cursorIn(to)));
        if (!this.#options.failOnGap) return;
        const missing = `events after ${from}, up to ${to}, are missing: ${gapReason(reason)}`;
        throw new ApexError("stream_cut", `${missing} (--fail-on-gap)`);
      }
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
        `the daemon speaks control protocol ${protocol}, this client ${PROTOCOL_VERSION}; restart the daemon with ` +
          "this version: apex restart",
      );
    }
    this.#epoch = epoch;
    // With `--since`, the first event brings the first cursor.
    if (this.#cursor === undefined && this.#options.sinceMs === undefined) this.#printed(cursorIn(cursor));
  }

  #printed(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#epoch = cursor.epoch;
    this.#file?.printed(cursor);
  }

  async #reopen(sockets: SocketPaths, done: string): Promise<LineStream> {
    const { stderr, checkDaemon } = this.#context;
    let reported = "";
    const open = async () => {
      await checkDaemon(sockets);
      return await this.open(sockets);
    };
    const stream = await reconnect(open, {
      abort: this.#options.abort,
      withinMs: Infinity,
      onObstacle: async (error) => {
        const isMissing = error instanceof ApexError && error.code === "no_daemon";
        if (isMissing || messageOf(error) === reported) return;
        reported = messageOf(error);
        await stderr.print(`apex: still reconnecting: ${reported}`);
      },
    });
    const where = this.#cursor === undefined ? "" : `, resuming after ${formatCursor(this.#cursor)}`;
    await stderr.print(`apex: ${done}${where}`);
    return stream;
  }

  #describe(end: StreamEnd): string {
    if (end === "shutdown") return "the daemon has shut down";
    if (typeof end === "object") return `the daemon ended the event stream (${printable(end.reason)})`;
    return end === "silent" ? this.#silence() : "the event stream broke off";
  }

  #silence(): string {
    const { heartbeatMs = HEARTBEAT_MS } = this.#options;
    return `no heartbeat for ${silenceMs(heartbeatMs) / 1_000} s`;
  }

  #brokenOff({ controlSocket }: SocketPaths, end: Exclude<StreamEnd, "limit" | "shutdown">): ApexError {
    const why = end === "silent"
      ? `${this.#silence()} (--heartbeat); the daemon hangs, or was suspended`
      : end === "cut"
      ? "this client was too slow, or the daemon was killed"
      : `the daemon ended it (${printable(end.reason)})`;
    const where = this.#cursor === undefined ? "" : ` (to resume: --after ${formatCursor(this.#cursor)})`;
    return new ApexError("stream_cut", `the event stream from ${controlSocket} broke off: ${why}${where}`);
  }
}

function cursorIn(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor === undefined) {
    throw new TypeError(`Cannot parse cursor ${text}, although its schema accepted it`);
  }
  return cursor;
}
