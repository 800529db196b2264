/** A client of a session, in memory. It records the frames that it gets, sends frames for the test, and can stop reading. */
import type { Clock } from "../../../src/platform/clock.ts";
import { type Frame, FRAME_KINDS, frameJson, type FrameKind } from "../../../src/protocol/frames.ts";
import { type ClientConnection, SessionClient } from "../../../src/sessions/session_client.ts";
import { within } from "../within.ts";

const KIND_NAMES = new Map(Object.entries(FRAME_KINDS).map(([name, code]) => [code as number, name]));

/** Longer than any text that a test waits for. */
const RECENT_LENGTH = 2_000;

export interface LastFrame {
  readonly kind: FrameKind;
  readonly value: Record<string, unknown>;
}

export class TestClient implements ClientConnection, AsyncDisposable {
  readonly client: SessionClient;
  /** All of the terminal's output. */
  output = "";
  /** The last output with its context: searching megabytes after each chunk would take minutes. */
  #recent = "";
  pings = 0;
  last: LastFrame | undefined;
  /** Settles when `serve` has returned. */
  served: Promise<void> | undefined;
  readonly #gone = new AbortController();
  readonly #sent: Frame[] = [];
  readonly #decoder = new TextDecoder();
  #wake = Promise.withResolvers<void>();
  #reading: PromiseWithResolvers<void> | undefined;
  readonly #waiting = new Set<() => void>();

  constructor({ clock, pid, columns = 80, rows = 24 }: {
    clock: Clock;
    pid?: number;
    columns?: number;
    rows?: number;
  }) {
    this.client = new SessionClient({ pid, size: { columns, rows }, clock });
  }

  get abortSignal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Serves the connection, as the control server does after its reply. */
  serve(): this {
    this.served = this.client.serve(this);
    // A test that expects a failure awaits it.
    this.served.catch(() => {});
    return this;
  }

  /** Closes the connection, as if the client's process was killed. */
  vanish(): void {
    this.#gone.abort();
    this.#wake.resolve();
    this.#reading?.resolve();
  }

  /** Stops reading. */
  stall(): void {
    this.#reading ??= Promise.withResolvers();
  }

  async send(bytes: Uint8Array): Promise<void> {
    await this.#reading?.promise;
    if (this.abortSignal.aborted) throw new Error("the client has disconnected");
    this.#recent = this.#recent.slice(-RECENT_LENGTH);
    for (let at = 0; at < bytes.length;) {
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 1, true);
      this.#take(bytes[at] ?? 0, bytes.subarray(at + 5, at + 5 + length));
      at += 5 + length;
    }
    for (const wake of this.#waiting) wake();
  }

  type(text: string): void {
    this.sendFrame("data", new TextEncoder().encode(text));
  }

  resize(columns: number, rows: number): void {
    this.sendFrame("resize", new Uint8Array(new Uint16Array([columns, rows]).buffer));
  }

  sendFrame(kind: FrameKind, payload: Uint8Array = new Uint8Array(0)): void {
    this.#sent.push({ kind, payload });
    this.#wake.resolve();
  }

  async *frames(): AsyncGenerator<Frame> {
    while (!this.abortSignal.aborted) {
      const frame = this.#sent.shift();
      if (frame !== undefined) {
        yield frame;
        continue;
      }
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }

  async untilOutput(text: string): Promise<void> {
    if (this.output.includes(text)) return;
    const last = () => JSON.stringify(this.output.slice(-RECENT_LENGTH));
    await this.#until(() => this.#recent.includes(text), () => `"${text}" in … ${last()}`);
  }

  async untilLast(): Promise<LastFrame> {
    await this.#until(() => this.last !== undefined, () => "the last frame");
    return this.last!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vanish();
    if (this.served !== undefined) await within(10_000, "the end of a client", this.served);
  }

  async #until(condition: () => boolean, what: () => string): Promise<void> {
    const became = Promise.withResolvers<void>();
    const wake = (): void => {
      if (condition()) became.resolve();
    };
    this.#waiting.add(wake);
    wake();
    try {
      await within(20_000, "a client's output", became.promise);
    } catch (cause) {
      throw new Error(`the client did not get ${what()}`, { cause });
    } finally {
      this.#waiting.delete(wake);
    }
  }

  #take(code: number, payload: Uint8Array): void {
    const kind = KIND_NAMES.get(code) as FrameKind;
    if (this.last !== undefined) throw new Error(`${kind} came after the last frame`);
    if (kind === "data") {
      const text = this.#decoder.decode(payload, { stream: true });
      this.output += text;
      this.#recent += text;
    } else if (kind === "ping") this.pings++;
    else this.last = { kind, value: frameJson({ kind, payload }) as Record<string, unknown> };
  }
}
