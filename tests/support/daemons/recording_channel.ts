import type { ControlChannel } from "../../../src/daemon/control_socket/control_channel.ts";
import { type Frame, frameJson, FrameReader } from "../../../src/protocol/frames.ts";

/** The client's end of a stream without a socket. It takes frames at once, or when the test permits it. */
export class RecordingChannel implements ControlChannel {
  readonly #gone = new AbortController();
  readonly #sent: Uint8Array[] = [];
  #gate: PromiseWithResolvers<void> | undefined;

  get abortSignal(): AbortSignal {
    return this.#gone.signal;
  }

  async send(frame: Uint8Array): Promise<void> {
    this.abortSignal.throwIfAborted();
    await this.#gate?.promise;
    this.abortSignal.throwIfAborted();
    this.#sent.push(frame);
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.send(bytes);
    return bytes.length;
  }

  end(reason: Error): void {
    this.#gone.abort(reason);
    this.go();
  }

  frames(): AsyncIterable<Frame> {
    throw new Error("This peer sends nothing");
  }

  /** Takes nothing until {@linkcode go}. */
  stall(): void {
    this.#gate ??= Promise.withResolvers();
  }

  go(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  hangUp(): void {
    this.#gone.abort(new Error("the client hung up"));
    this.go();
  }

  /** The kind of each frame, with its text or its JSON value. */
  async received(): Promise<[kind: string, payload: unknown][]> {
    const pending = this.#sent.map((frame) => frame.slice());
    const reader = new FrameReader({
      read(buffer) {
        const frame = pending.shift();
        if (frame === undefined) return Promise.resolve(null);
        buffer.set(frame.subarray(0, buffer.length));
        if (frame.length > buffer.length) pending.unshift(frame.subarray(buffer.length));
        return Promise.resolve(Math.min(frame.length, buffer.length));
      },
    });
    const frames: [string, unknown][] = [];
    for (let frame = await reader.next(); frame !== null; frame = await reader.next()) {
      const isOutput = frame.kind === "data" || frame.kind === "stderr";
      frames.push([frame.kind, isOutput ? new TextDecoder().decode(frame.payload) : frameJson(frame)]);
    }
    return frames;
  }
}
