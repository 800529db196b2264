import type { SubscriberConnection } from "../../../src/eventlog/subscription.ts";
import type { StreamRecord } from "../../../src/protocol/event_operations.ts";

/** An event of a resumable stream, or a stream record. */
export interface StreamLine {
  readonly seq?: number;
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A subscriber in this process. It accepts any part of a write, and can stop accepting. */
export class StreamTaker implements SubscriberConnection {
  readonly #maxBytes: () => number;
  readonly #decoder = new TextDecoder();
  readonly #lines: string[] = [];
  #rest = "";
  #isClosed = false;
  #stalled: PromiseWithResolvers<void> | undefined;

  /** @param maxBytes the most that it accepts of a write; called for each write */
  constructor(maxBytes: () => number = () => Infinity) {
    this.#maxBytes = maxBytes;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The whole lines so far, as text. */
  get text(): readonly string[] {
    return this.#lines;
  }

  /** The whole lines so far. */
  get lines(): StreamLine[] {
    return this.#lines.map((line) => JSON.parse(line));
  }

  /** Numbers of the events so far. */
  get seqs(): number[] {
    return this.lines.flatMap(({ seq }) => seq ?? []);
  }

  /** The records so far. */
  get records(): StreamRecord[] {
    return this.lines.filter(({ type }) => type.startsWith("stream.")) as unknown as StreamRecord[];
  }

  /** Accepts nothing until {@linkcode StreamTaker.goOn}. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers();
  }

  goOn(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#stalled?.promise;
    if (this.#isClosed) throw new Deno.errors.BadResource("closed");
    const taken = bytes.subarray(0, Math.max(1, this.#maxBytes()));
    this.#rest += this.#decoder.decode(taken, { stream: true });
    const lines = this.#rest.split("\n");
    this.#rest = lines.pop()!;
    this.#lines.push(...lines);
    return taken.length;
  }

  close(): void {
    this.#isClosed = true;
    this.goOn();
  }
}
