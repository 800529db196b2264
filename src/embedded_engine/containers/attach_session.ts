/**
 * One client that is attached to a container. From the moment the request is answered it gets all output, none twice:
 * what comes while earlier output (`logs=1`) is being read is held back. It ends with the container's run, with the
 * client, or when the client is too slow; the process goes on.
 */
import type { AttachRequest } from "../api/attach_request.ts";
import { type ClientOutput, MAX_QUEUED_BYTES } from "../http/client_output.ts";
import type { RawClient } from "../http/raw_stream.ts";
import type { OutputStream } from "../processes/container_process.ts";
import { encodeFrame } from "../processes/log_record.ts";
import { DetachKeyFilter } from "../terminals/detach_keys.ts";
import type { LogSnapshot } from "./container_log.ts";
import type { Attachment } from "./container_streams.ts";
import type { EmbeddedContainer } from "./embedded_container.ts";

export class AttachSession implements Disposable {
  readonly #container: EmbeddedContainer;
  readonly #request: AttachRequest;
  readonly #attachment: Attachment | undefined;
  readonly #past: LogSnapshot | undefined;
  readonly #tooSlow = Promise.withResolvers<void>();
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #output: ClientOutput | undefined;
  #isOver = false;

  /** Attaches at once, and publishes `attach`. */
  constructor(container: EmbeddedContainer, request: AttachRequest) {
    this.#container = container;
    this.#request = request;
    this.#past = request.logs ? container.log.snapshot() : undefined;
    this.#attachment = request.stream
      ? container.streams.attach({ onOutput: (stream, chunk) => this.#onOutput(stream, chunk) })
      : undefined;
    container.publishClient("attach");
  }

  /** Carries both ways until the end. */
  async serve({ output, input }: RawClient): Promise<void> {
    using _attached = this;
    const past = this.#past;
    if (past !== undefined) {
      for await (const pieces of past.read()) {
        for (const { stream, payload } of pieces) {
          if (this.#isShown(stream)) output.push(this.#framed(stream, payload));
        }
        if (!output.hasRoom) await Promise.race([output.room(), this.#tooSlow.promise]);
      }
    }
    if (this.#attachment === undefined) return;
    for (const bytes of this.#held) output.push(bytes);
    this.#held = [];
    this.#output = output;
    const ends = [this.#attachment.ended, output.lost, this.#tooSlow.promise];
    await Promise.race(this.#request.stdin ? [...ends, this.#carryInput(input)] : ends);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#attachment?.[Symbol.dispose]();
  }

  #onOutput(stream: OutputStream, chunk: Uint8Array): void {
    if (!this.#isShown(stream)) return;
    const bytes = this.#framed(stream, chunk);
    if (this.#output !== undefined) return this.#output.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= MAX_QUEUED_BYTES) this.#held.push(bytes);
    else this.#tooSlow.resolve();
  }

  /** Resolves when the client lets go; after the end of an input that is only given once, it never does. */
  async #carryInput(input: AsyncIterable<Uint8Array>): Promise<void> {
    const { spec: { tty, stdinOnce }, streams } = this.#container;
    const keys = tty ? new DetachKeyFilter(this.#request.detachKeys) : undefined;
    for await (const chunk of input) {
      if (this.#isOver) return;
      const { typed, detached } = keys?.push(chunk) ?? { typed: chunk, detached: false };
      if (typed.length > 0) await streams.write(typed);
      if (detached) return this.#container.publishClient("detach");
    }
    if (this.#isOver || tty || !stdinOnce) return; // As Docker: whoever ends the input of one that lives on has gone.
    await streams.endInput();
    await this.#attachment?.ended;
  }

  #isShown(stream: OutputStream): boolean {
    return this.#request[stream];
  }

  #framed(stream: OutputStream, bytes: Uint8Array): Uint8Array {
    return this.#container.spec.tty ? bytes : encodeFrame(stream, bytes);
  }
}
