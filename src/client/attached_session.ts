/**
 * The client's side of `sessions.attach`: bytes in, bytes out, and what else the two ends tell each other. Both send a
 * ping every few seconds, and a daemon that is silent for ten is as good as gone. Owns its stream.
 */
import * as v from "valibot";
import { encodeFrame, type Frame, frameJson, MAX_FRAME_PAYLOAD_BYTES } from "../protocol/frames.ts";
import {
  PING_EVERY_MS,
  type SessionDetach,
  sessionDetachSchema,
  type SessionExit,
  sessionExitSchema,
  SILENT_FOR_MS,
} from "../protocol/session_operations.ts";
import type { ControlParamsOf, RequestOptions } from "./control_exchange.ts";
import { type ControlStream, openStream } from "./control_stream.ts";

export type AttachParams = ControlParamsOf<"sessions.attach">;

/** What the daemon says. `lost`: the connection ended, or the daemon fell silent; the session may well go on. */
export type SessionMessage =
  | { readonly kind: "output"; readonly bytes: Uint8Array }
  | { readonly kind: "exit"; readonly exit: SessionExit }
  | { readonly kind: "detach"; readonly detach: SessionDetach }
  | { readonly kind: "lost" };

const LOST: SessionMessage = { kind: "lost" };

/** @throws {ApexError} as {@linkcode openStream} does; `busy` when another client is attached */
export async function attachSession(
  socketPath: string,
  params: AttachParams,
  options: RequestOptions = {},
): Promise<AttachedSession> {
  return new AttachedSession(await openStream(socketPath, "sessions.attach", params, options));
}

/** Made by {@linkcode attachSession}. Disposing it lets go of the session without a word. */
export class AttachedSession implements Disposable {
  readonly #stream: ControlStream<"sessions.attach">;
  readonly #pings: ReturnType<typeof setInterval>;
  #heardAtMs = performance.now();

  constructor(stream: ControlStream<"sessions.attach">) {
    this.#stream = stream;
    this.#pings = setInterval(() => this.#ping(), PING_EVERY_MS);
  }

  /** Whether this attach made the session. */
  get created(): boolean {
    return this.#stream.result.created;
  }

  /** The next message; the bytes of an output are good until the one after it is asked for. */
  async next(): Promise<SessionMessage> {
    while (true) {
      const frame = await this.#stream.next();
      if (frame === null) return LOST;
      this.#heardAtMs = performance.now();
      const message = messageIn(frame);
      if (message !== undefined) return message;
    }
  }

  /** Sends what was typed; resolves when the socket took it. What a lost daemon does not take is lost with it. */
  async input(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += MAX_FRAME_PAYLOAD_BYTES) {
      await this.#stream.send(encodeFrame("data", bytes.subarray(start, start + MAX_FRAME_PAYLOAD_BYTES)));
    }
  }

  async resize({ columns, rows }: { readonly columns: number; readonly rows: number }): Promise<void> {
    const payload = new Uint8Array(4);
    const view = new DataView(payload.buffer);
    view.setUint16(0, columns, true);
    view.setUint16(2, rows, true);
    await this.#stream.send(encodeFrame("resize", payload));
  }

  /** Asks to be let go; the daemon answers with a `detach`. */
  async detach(): Promise<void> {
    await this.#stream.send(encodeFrame("detach"));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#pings);
    this.#stream[Symbol.dispose]();
  }

  #ping(): void {
    if (performance.now() - this.#heardAtMs > SILENT_FOR_MS) this[Symbol.dispose]();
    else void this.#stream.send(encodeFrame("ping"));
  }
}

function messageIn(frame: Frame): SessionMessage | undefined {
  switch (frame.kind) {
    case "data":
      return { kind: "output", bytes: frame.payload };
    case "exit":
      return { kind: "exit", exit: v.parse(sessionExitSchema, frameJson(frame)) };
    case "detach":
      return { kind: "detach", detach: v.parse(sessionDetachSchema, frameJson(frame)) };
    default:
      // A ping, or what a newer daemon has to say.
      return undefined;
  }
}
