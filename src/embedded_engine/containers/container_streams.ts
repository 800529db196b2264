/**
 * The input and output of a container. Owns the attachments of clients, over all runs, and the standard input of the
 * current process. Output goes to each client's queue, which never blocks, and to the log, which does: only the log slows a
 * process down. The end of a run ends every attachment.
 */
import type { ProcessInput, StdStream } from "../processes/container_process.ts";
import type { ContainerLog } from "./container_log.ts";

type OnOutput = (stream: StdStream, chunk: Uint8Array) => void;

/** The attachment of one client. The client disposes it. */
export interface Attachment extends Disposable {
  /** Resolves when the run has ended and all its output was passed on, or when the attachment was disposed. */
  readonly ended: Promise<void>;
}

export class ContainerStreams {
  readonly #log: ContainerLog;
  readonly #attached = new Set<{ readonly onOutput: OnOutput; readonly end: () => void }>();
  #input = Promise.withResolvers<ProcessInput | undefined>();

  constructor(log: ContainerLog) {
    this.#log = log;
  }

  /** A process starts: from now on there may be output. */
  beginRun(): void {
    this.#log.beginRun();
  }

  /** The process runs; `undefined` when it has no standard input. */
  provideInput(input: ProcessInput | undefined): void {
    this.#input.resolve(input);
  }

  /** Passes output on; resolves when it is in the log. @throws what writing the log throws */
  async output(stream: StdStream, chunk: Uint8Array): Promise<void> {
    for (const { onOutput } of this.#attached) onOutput(stream, chunk);
    await this.#log.append(stream, chunk);
  }

  /** All output has arrived. Resolves when it is in the log. @throws what writing the log throws */
  async endRun(): Promise<void> {
    try {
      await this.#log.endRun();
    } finally {
      this.endAttachments();
    }
  }

  /** Ends all attachments: the run has ended or failed to start, or the container was removed. */
  endAttachments(): void {
    this.#input = Promise.withResolvers();
    for (const { end } of this.#attached) end();
    this.#attached.clear();
  }

  /** Attaches a client, from now on. The container need not run yet. */
  attach(onOutput: OnOutput): Attachment {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const attached = { onOutput, end };
    this.#attached.add(attached);
    return {
      ended,
      [Symbol.dispose]: () => {
        this.#attached.delete(attached);
        end();
      },
    };
  }

  /** Writes to the process, once one runs; resolves when its pipe has taken the bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    await (await this.#input.promise)?.write(bytes);
  }

  /** Ends the standard input of the process, once one runs. */
  async endInput(): Promise<void> {
    await (await this.#input.promise)?.end();
  }
}
