/**
 * What goes into a container and comes out of it. Owns the clients that are attached, over all of its runs, and the way to
 * the current process's standard input. Output goes to each client's own queue, which never waits, and to the log,
 * which does: so the log alone slows a process down. The end of a run is the end of every attachment.
 */
import type { OutputStream } from "../processes/container_process.ts";
import type { ProcessInput } from "../processes/process_input.ts";
import type { ContainerLog } from "./container_log.ts";

export interface AttachmentOptions {
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => void;
}

/** One client's place. Dispose it in the end. */
export interface Attachment extends Disposable {
  /** Resolves when the run has ended and all its output was handed over, or the attachment was disposed. */
  readonly ended: Promise<void>;
}

interface Attached {
  readonly onOutput: AttachmentOptions["onOutput"];
  readonly end: () => void;
}

export class ContainerStreams {
  readonly #log: ContainerLog;
  readonly #attached = new Set<Attached>();
  #input = Promise.withResolvers<ProcessInput | undefined>();

  constructor(log: ContainerLog) {
    this.#log = log;
  }

  /** Output counts from here on. */
  beginRun(): void {
    this.#log.beginRun();
  }

  /** The process is there; undefined: it takes no input. */
  provideInput(input: ProcessInput | undefined): void {
    this.#input.resolve(input);
  }

  /** Resolves when it is in the log; what the log does not take is thrown. */
  async output(stream: OutputStream, chunk: Uint8Array): Promise<void> {
    for (const { onOutput } of this.#attached) onOutput(stream, chunk);
    await this.#log.append(stream, chunk);
  }

  /** All output has come. Resolves when the log has it; what the log does not take is thrown. */
  async endRun(): Promise<void> {
    try {
      await this.#log.endRun();
    } finally {
      this.endAttachments();
    }
  }

  /** The run has ended, or failed to begin, or the container is gone. */
  endAttachments(): void {
    this.#input = Promise.withResolvers();
    for (const { end } of this.#attached) end();
    this.#attached.clear();
  }

  /** From now on; also before the container runs. */
  attach({ onOutput }: AttachmentOptions): Attachment {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const attached: Attached = { onOutput, end };
    this.#attached.add(attached);
    return {
      ended,
      [Symbol.dispose]: () => {
        this.#attached.delete(attached);
        end();
      },
    };
  }

  /** Writes to the process, once there is one; resolves when it has taken it. */
  async write(bytes: Uint8Array): Promise<void> {
    await (await this.#input.promise)?.write(bytes);
  }

  /** Ends the process's standard input, once there is one. */
  async endInput(): Promise<void> {
    await (await this.#input.promise)?.end();
  }
}
