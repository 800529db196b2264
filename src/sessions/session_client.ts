/**
 * One client of a session, from its attach request to the end of its connection. The connection belongs to the caller of
 * `serve`. Frames for the client are queued here, so a session never waits for a socket. `serve` sends them, and receives
 * the client's frames.
 *
 * The session detaches a client that reads nothing while its queue is full, or that sends nothing for too long. Such a
 * client may attach again, with another `SessionClient`.
 */
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import {
  encodeFrame,
  encodeJsonFrame,
  type Frame,
  FrameError,
  MAX_FRAME_PAYLOAD_BYTES,
} from "../protocol/frames.ts";
import {
  PING_EVERY_MS,
  type SessionDetach,
  type SessionExit,
  SILENT_FOR_MS,
} from "../protocol/session_operations.ts";
import { FrameQueue } from "./frame_queue.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";

/** The connection of a client: its control channel. */
export interface ClientConnection {
  /** Aborts when the client has closed the connection. */
  readonly abortSignal: AbortSignal;
  /** Resolves when the bytes were written. */
  send(bytes: Uint8Array): Promise<void>;
  frames(): AsyncIterable<Frame>;
}

/** How a session handles the frames of its client. */
export interface ClientHandlers {
  /** Resolves when there is room for more. The bytes are valid until then. */
  onInput(bytes: Uint8Array): Promise<void>;
  onResize(size: TerminalSize): void;
  /** The client has left or must be dropped, and `detach` says why. The session answers with {@linkcode SessionClient.finish}. */
  onLeave(detach: SessionDetach): void;
}

export interface SessionClientOptions {
  /** The client's process id, which `apex list` shows. */
  readonly pid?: number | undefined;
  readonly size: TerminalSize;
  readonly clock: Clock;
}

/** With more queued output the session pauses, for {@linkcode STALL_MS} at most. */
const FULL_BYTES = 1024 * 1024;
const ROOM_AGAIN_BYTES = FULL_BYTES / 2;
/** With more queued output a client is dropped, however fast it reads. A repaint and the output held for it fit in. */
const MAX_BYTES = 16 * FULL_BYTES;
/** A client is dropped if its queue is full and it reads nothing for this time. */
const STALL_MS = 2_000;

export class SessionClient {
  readonly pid: number | undefined;
  #size: TerminalSize;
  readonly #clock: Clock;
  readonly #queue = new FrameQueue(() => this.#onSent());
  #handlers: ClientHandlers | undefined;
  /** The last frame is queued. */
  #isFinished = false;
  #lastReceivedMs: number;
  /** The session has not taken the last input yet, so no further frame is received. */
  #isHeldBack = false;
  #room: PromiseWithResolvers<void> | undefined;
  #cancelStall: (() => void) | undefined;
  #cancelPing: (() => void) | undefined;
  readonly #over = Promise.withResolvers<void>();

  constructor({ pid, size, clock }: SessionClientOptions) {
    this.pid = pid;
    this.#size = size;
    this.#clock = clock;
    this.#lastReceivedMs = clock.now();
  }

  get size(): TerminalSize {
    return this.#size;
  }

  /** Whether its queue is full: await {@linkcode room} before sending more. */
  get isFull(): boolean {
    return this.#queue.bytes > FULL_BYTES && !this.#isFinished;
  }

  /** Resolves when the last frame was sent, or cannot be sent. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Called by the session that the client is attached to. */
  attachTo(handlers: ClientHandlers): void {
    this.#handlers = handlers;
    this.#lastReceivedMs = this.#clock.now();
    this.#armPing();
  }

  /** Queues a copy of some output. */
  send(output: Uint8Array): void {
    if (this.#isFinished) return;
    for (let start = 0; start < output.length; start += MAX_FRAME_PAYLOAD_BYTES) {
      this.#queue.push(encodeFrame("data", output.subarray(start, start + MAX_FRAME_PAYLOAD_BYTES)));
    }
    this.#watchForStall();
    if (this.#queue.bytes > MAX_BYTES) this.#leave({ reason: "slow" });
  }

  /** Resolves when the queue is no longer full, and after {@linkcode STALL_MS} at the latest. */
  async room(): Promise<void> {
    if (!this.isFull) return;
    this.#room ??= Promise.withResolvers();
    await settlesWithin(this.#room.promise, { timeoutMs: STALL_MS, clock: this.#clock });
  }

  /** Queues the last frame. Queued output is sent before it, except to a client that is dropped as slow. */
  finish(end: { readonly exit: SessionExit } | { readonly detach: SessionDetach }): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#handlers = undefined;
    this.#cancelPing?.();
    if ("detach" in end && end.detach.reason === "slow") this.#queue.clear();
    this.#queue.push(
      "exit" in end ? encodeJsonFrame("exit", end.exit) : encodeJsonFrame("detach", end.detach),
    );
    this.#queue.close();
    this.#room?.resolve();
    this.#watchForStall();
  }

  /**
   * Carries frames both ways until the client has closed the connection or has got its last frame.
   * @throws what fails while a frame is handled: a programming error
   */
  async serve(connection: ClientConnection): Promise<void> {
    const { abortSignal } = connection;
    const end = (): void => this.#over.resolve();
    abortSignal.addEventListener("abort", end, { once: true });
    if (abortSignal.aborted) end();
    // Both end with the connection at the latest. Its owner closes it when this method returns.
    this.#receive(connection.frames()).catch((error) => this.#over.reject(error));
    // A send fails if the client has closed the connection, which the signal reports as well.
    this.#queue.pump((bytes) => connection.send(bytes)).then(end, end);
    try {
      await this.#over.promise;
    } finally {
      abortSignal.removeEventListener("abort", end);
      this.#leave({ reason: "requested" });
      this.#cancelStall?.();
      this.#queue.clear();
    }
  }

  async #receive(frames: AsyncIterable<Frame>): Promise<void> {
    try {
      for await (const frame of frames) await this.#received(frame);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#leave({ reason: "protocol", error: error.message });
    }
    // The input has ended: the client closed the connection.
    this.#leave({ reason: "requested" });
  }

  async #received({ kind, payload }: Frame): Promise<void> {
    this.#lastReceivedMs = this.#clock.now();
    switch (kind) {
      case "data":
        this.#isHeldBack = true;
        await this.#handlers?.onInput(payload);
        this.#isHeldBack = false;
        this.#lastReceivedMs = this.#clock.now();
        break;
      case "resize":
        this.#size = readSize(payload);
        this.#handlers?.onResize(this.#size);
        break;
      case "detach":
        this.#leave({ reason: "requested" });
        break;
      case "ping": // Not answered: the client would answer the answer.
        break;
      default:
        throw new FrameError(`a client cannot send a ${kind} frame`);
    }
  }

  #leave(detach: SessionDetach): void {
    if (this.#isFinished) return;
    // The session answers with `finish`. A client that is not attached finishes by itself.
    if (this.#handlers === undefined) this.finish({ detach });
    else this.#handlers.onLeave(detach);
  }

  #ping(): void {
    if (this.#silenceLeftMs() <= 0) return this.#leave({ reason: "silent" });
    // In a full queue it would be sent too late to be useful.
    if (!this.isFull) this.#queue.push(encodeFrame("ping"));
    this.#armPing();
  }

  #armPing(): void {
    const delayMs = Math.min(PING_EVERY_MS, this.#silenceLeftMs());
    this.#cancelPing = this.#clock.after(delayMs, () => this.#ping());
  }

  /** The time after which the client is dropped if it sends nothing. */
  #silenceLeftMs(): number {
    return this.#isHeldBack ? SILENT_FOR_MS : this.#lastReceivedMs + SILENT_FOR_MS - this.#clock.now();
  }

  #onSent(): void {
    this.#cancelStall?.();
    this.#cancelStall = undefined;
    if (this.#queue.bytes < ROOM_AGAIN_BYTES) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    this.#watchForStall();
  }

  /** Keeps a timer while the client has to read: when its queue is full, and after its last frame. */
  #watchForStall(): void {
    const mustRead = this.isFull || this.#isFinished && this.#queue.bytes > 0;
    if (!mustRead || this.#cancelStall !== undefined) return;
    this.#cancelStall = this.#clock.after(STALL_MS, () => {
      this.#cancelStall = undefined;
      if (this.#isFinished) this.#over.resolve();
      else this.#leave({ reason: "slow" });
    });
  }
}

/** @throws {FrameError} when the payload is not a size */
function readSize(payload: Uint8Array): TerminalSize {
  if (payload.length !== 4) throw new FrameError(`a resize frame must have 4 bytes, not ${payload.length}`);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { columns: view.getUint16(0, true), rows: view.getUint16(2, true) };
}
