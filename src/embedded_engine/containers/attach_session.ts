/**
 * One client that is attached to a container. From the moment in which its request is answered it gets all output, each
 * byte once. Output that arrives while earlier output (`logs=1`) is being read is queued. The session ends with the
 * container's run, when the client disconnects or detaches, or when the client is too slow. The process keeps running.
 */
import { HttpError } from "../http/http_message.ts";
import { type ClientOutput, MAX_QUEUED_BYTES, type RawClient } from "../http/raw_stream.ts";
import type { StdStream } from "../processes/container_process.ts";
import { encodeStreamFrame } from "../processes/output_record.ts";
import type { LogSnapshot } from "./container_log.ts";
import type { Attachment } from "./container_streams.ts";
import type { EmbeddedContainer } from "./embedded_container.ts";

/** Ctrl-P, Ctrl-Q. */
const DEFAULT_DETACH_KEYS: readonly number[] = [16, 17];
const AT = "@".charCodeAt(0);

/** The parameters of an attach. */
export interface AttachParameters {
  /** Sends the output so far. */
  readonly logs: boolean;
  /** Relays output and input from now on. */
  readonly stream: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Bytes that detach a client; used only at a terminal. */
  readonly detachKeys: readonly number[];
}

export class AttachSession implements Disposable {
  readonly #container: EmbeddedContainer;
  readonly #request: AttachParameters;
  readonly #attachment: Attachment | undefined;
  readonly #past: LogSnapshot | undefined;
  readonly #tooSlow = Promise.withResolvers<void>();
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #output: ClientOutput | undefined;
  #isOver = false;

  /** Attaches at once, and publishes `attach`. */
  constructor(container: EmbeddedContainer, request: AttachParameters) {
    this.#container = container;
    this.#request = request;
    this.#past = request.logs ? container.log.snapshot() : undefined;
    this.#attachment = request.stream
      ? container.streams.attach((stream, chunk) => this.#onOutput(stream, chunk))
      : undefined;
    container.publishClient("attach");
  }

  /** Relays output and input until the end of the session. */
  async serve({ output, input }: RawClient): Promise<void> {
    using _attached = this;
    const past = this.#past;
    if (past !== undefined) {
      for await (const pieces of past.read()) {
        for (const { stream, payload } of pieces) {
          if (this.#request[stream]) output.push(this.#framed(stream, payload));
        }
        if (!output.hasRoom) await Promise.race([output.room(), this.#tooSlow.promise]);
      }
    }
    if (this.#attachment === undefined) return;
    for (const bytes of this.#queue) output.push(bytes);
    this.#queue = [];
    this.#output = output;
    const ends = [this.#attachment.ended, output.lost, this.#tooSlow.promise];
    await Promise.race(this.#request.stdin ? [...ends, this.#relayInput(input)] : ends);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#attachment?.[Symbol.dispose]();
  }

  #onOutput(stream: StdStream, chunk: Uint8Array): void {
    if (!this.#request[stream]) return;
    const bytes = this.#framed(stream, chunk);
    if (this.#output !== undefined) return this.#output.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes <= MAX_QUEUED_BYTES) this.#queue.push(bytes);
    else this.#tooSlow.resolve();
  }

  /** Resolves when the client detaches or disconnects; with `StdinOnce`, only at the end of the run. */
  async #relayInput(input: AsyncIterable<Uint8Array>): Promise<void> {
    const { spec: { tty, stdinOnce }, streams } = this.#container;
    const keys = tty ? new DetachKeyFilter(this.#request.detachKeys) : undefined;
    for await (const chunk of input) {
      if (this.#isOver) return;
      const { typed, detached } = keys?.push(chunk) ?? { typed: chunk, detached: false };
      if (typed.length > 0) await streams.write(typed);
      if (detached) return this.#container.publishClient("detach");
    }
    if (this.#isOver || tty || !stdinOnce) return; // As in Docker, the end of the client's input detaches it.
    await streams.endInput();
    await this.#attachment?.ended;
  }

  #framed(stream: StdStream, bytes: Uint8Array): Uint8Array {
    return this.#container.spec.tty ? bytes : encodeStreamFrame(stream, bytes);
  }
}

/**
 * Parses the parameter `detachKeys`: `ctrl-x` and single characters, separated by commas. Empty: the default.
 * @returns the bytes that these keys send
 * @throws {HttpError} 400 with Docker's message
 */
export function detachKeyBytes(text: string): readonly number[] {
  if (text === "") return DEFAULT_DETACH_KEYS;
  return text.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key)?.[1];
    if (control === undefined) throw new HttpError(400, `Invalid detach keys (${text}) provided`);
    return control.toUpperCase().charCodeAt(0) - AT;
  });
}

/** Finds the detach keys in typed input. Bytes that may begin a match are held back until it is complete or fails. */
export class DetachKeyFilter {
  readonly #keys: readonly number[];
  #held: number[] = [];

  constructor(keys: readonly number[]) {
    this.#keys = keys;
  }

  /** The bytes to pass on, and whether the detach keys followed them. */
  push(bytes: Uint8Array): { typed: Uint8Array; detached: boolean } {
    const typed: number[] = [];
    for (const byte of bytes) {
      this.#held.push(byte);
      while (!this.#held.every((held, index) => held === this.#keys[index])) typed.push(this.#held.shift()!);
      if (this.#held.length === this.#keys.length) return { typed: Uint8Array.from(typed), detached: true };
    }
    return { typed: Uint8Array.from(typed), detached: false };
  }
}
