/**
 * The client's side of `sessions.attach`: the bytes of a terminal in both directions, and the messages of the daemon. Both sides
 * send a ping every 3 s; a daemon that sends nothing for 10 s is treated as lost.
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

/** A message of the daemon. `lost`: the connection ended, or the daemon sent nothing for 10 s; the session may still run. */
export type SessionMessage =
  | { readonly kind: "output"; readonly bytes: Uint8Array }
  | { readonly kind: "exit"; readonly exit: SessionExit }
  | { readonly kind: "detach"; readonly detach: SessionDetach }
  | { readonly kind: "lost" };

const LOST: SessionMessage = { kind: "lost" };

/** @throws {ApexError} as {@linkcode openStream} does; `busy` if another client is attached */
export async function attachSession(
  socketPath: string,
  params: AttachParams,
  options: RequestOptions = {},
): Promise<SessionAttachment> {
  return new SessionAttachment(await openStream(socketPath, "sessions.attach", params, options));
}

/** Owns its stream. Disposing it hangs up without a `detach`. Made by {@linkcode attachSession}. */
export class SessionAttachment implements Disposable {
  readonly #stream: ControlStream<"sessions.attach">;
  readonly #pings: ReturnType<typeof setInterval>;
  #receivedAtMs = performance.now();

  constructor(stream: ControlStream<"sessions.attach">) {
    this.#stream = stream;
    this.#pings = setInterval(() => this.#ping(), PING_EVERY_MS);
  }

  /** Whether this attach created the session. */
  get created(): boolean {
    return this.#stream.result.created;
  }

  /** The next message. The bytes of an output are valid until the next message is requested. */
  async next(): Promise<SessionMessage> {
    while (true) {
      const frame = await this.#stream.next();
      if (frame === null) return LOST;
      this.#receivedAtMs = performance.now();
      const message = messageIn(frame);
      if (message !== undefined) return message;
    }
  }

  /** Sends what the user has typed. Resolves when the socket has taken it, or the connection is lost. */
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

  /** Asks the daemon to detach this client; it answers with a `detach` message. */
  async detach(): Promise<void> {
    await this.#stream.send(encodeFrame("detach"));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#pings);
    this.#stream[Symbol.dispose]();
  }

  #ping(): void {
    if (performance.now() - this.#receivedAtMs > SILENT_FOR_MS) this[Symbol.dispose]();
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
      // A ping, or a frame of a newer daemon.
      return undefined;
  }
}
