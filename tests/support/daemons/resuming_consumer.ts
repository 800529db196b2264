/**
 * A consumer of `events.subscribe` by the rules of EVENTS.md: it resumes after the last event that it has processed, whatever
 * ended its last stream, and knows only what its streams have sent.
 */
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import type { ControlParamsOf } from "../../../src/client/control_exchange.ts";
import { openLines } from "../../../src/client/line_stream.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { formatCursor, parseCursor } from "../../../src/protocol/event_operations.ts";
import { eventually } from "./apex_process.ts";
import type { Line } from "./lines.ts";

/** Also the longest time that a stream continues after its client has hung up. */
const HEARTBEAT_MS = 100;
const RETRY_MS = 10;
/** The share of streams that also request a snapshot. */
const SNAPSHOT_SHARE = 0.3;

export interface ResumingConsumerOptions {
  readonly controlSocket: string;
  /** The request without its position. */
  readonly filter: Omit<ControlParamsOf<"events.subscribe">, "after" | "snapshot" | "heartbeatMs">;
  /** A cursor. */
  readonly after: string;
  readonly random: () => number;
}

export class ResumingConsumer implements AsyncDisposable {
  /** The events of all streams, in order of arrival. */
  readonly events: Line[] = [];
  /** The requested snapshots. */
  readonly snapshots: Line[] = [];
  streams = 0;
  readonly #options: ResumingConsumerOptions;
  readonly #epoch: string;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #seq: number;
  #stalled: PromiseWithResolvers<void> | undefined;
  #isHangingUp = false;

  constructor(options: ResumingConsumerOptions) {
    this.#options = options;
    ({ epoch: this.#epoch, seq: this.#seq } = parseCursor(options.after)!);
    this.#running = this.#run();
    // A failure is reported by the waiting call and by disposal.
    this.#running.catch(() => {});
  }

  /** Stops reading. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers();
  }

  goOn(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  /** Hangs up in the middle of a piece. The rest of it must arrive again. */
  hangUp(): void {
    this.#isHangingUp = true;
    this.goOn();
  }

  /** Resolves when it has every event up to that one. */
  async reached(seq: number): Promise<void> {
    const there = eventually(() => this.#seq >= seq, `event ${seq} (at ${this.#seq})`);
    await Promise.race([there, this.#running]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.goOn();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await this.#readStream(signal);
      } catch (error) {
        // No daemon runs, or it was killed during its reply.
        if (!signal.aborted && !(error instanceof ApexError)) throw error;
      }
      if (!signal.aborted) await delay(RETRY_MS);
    }
  }

  async #readStream(signal: AbortSignal): Promise<void> {
    const { controlSocket, filter, random } = this.#options;
    const params = {
      ...filter,
      after: formatCursor({ epoch: this.#epoch, seq: this.#seq }),
      heartbeatMs: HEARTBEAT_MS,
      ...(random() < SNAPSHOT_SHARE && { snapshot: true }),
    };
    using stream = await openLines(controlSocket, "events.subscribe", params, { abort: signal });
    this.streams++;
    while (true) {
      await this.#stalled?.promise;
      const piece = await stream.next();
      if (piece === null) return;
      const lines = new TextDecoder().decode(piece).trimEnd().split("\n");
      const taken = this.#isHangingUp ? lines.slice(0, Math.floor(random() * lines.length)) : lines;
      for (const line of taken) this.#take(JSON.parse(line));
      if (!this.#isHangingUp) continue;
      this.#isHangingUp = false;
      return;
    }
  }

  #take(line: Line): void {
    switch (line.type) {
      case "stream.hello":
        return assertEquals(line.epoch, this.#epoch);
      case "stream.snapshot":
        return void this.snapshots.push(line);
      case "stream.heartbeat":
        this.#seq = parseCursor(line.cursor)!.seq;
        return;
      case "stream.gap":
      case "stream.bye":
        throw new Error(`no gap and no end was expected: ${JSON.stringify(line)}`);
    }
    this.#seq = line.seq;
    this.events.push(line);
  }
}
