/**
 * One client of a session, from its request to the end of its connection. Frames for it are queued here, so nothing that
 * happens in a session waits for a socket; `serve` moves them to the client's connection and brings its frames in. A
 * client that takes nothing while its queue is full, or says nothing for too long, is lost to its session: it may come
 * back. A `SessionClient` is used for one attach.
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
} from "../protocol/session_messages.ts";
import { FrameQueue } from "./frame_queue.ts";
import type { TerminalSize } from "./screen/terminal_size.ts";

/** The connection of a client, as its control channel gives it. */
export interface ClientConnection {
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  /** Resolves when the connection took it. */
  send(bytes: Uint8Array): Promise<void>;
  frames(): AsyncIterable<Frame>;
}

/** What a client does to the session it is attached to. */
export interface ClientHandlers {
  /** Resolves when there is room for more. The bytes are good until then. */
  onInput(bytes: Uint8Array): Promise<void>;
  onResize(size: TerminalSize): void;
  /** It is not, or not to be, attached any more. */
  onLeave(detach: SessionDetach): void;
}

export interface SessionClientOptions {
  /** Of the client's process, for others to see. */
  readonly pid?: number | undefined;
  readonly size: TerminalSize;
  readonly clock: Clock;
}

/** Beyond this the session holds back, for {@linkcode STALL_MS} at most. */
const FULL_BYTES = 1024 * 1024;
const ROOM_AGAIN_BYTES = FULL_BYTES / 2;
/** Beyond this a client is dropped however quickly it reads: a repaint and what came meanwhile fit in. */
const MAX_BYTES = 16 * FULL_BYTES;
/** A client that took nothing for so long, with more than enough to take, is not reading. */
const STALL_MS = 2_000;

export class SessionClient {
  readonly pid: number | undefined;
  #size: TerminalSize;
  readonly #clock: Clock;
  readonly #queue = new FrameQueue(() => this.#taken());
  #handlers: ClientHandlers | undefined;
  #isFinished = false;
  #lastHeardMs: number;
  /** Its own input waits for the session: its silence means nothing. */
  #isHeldBack = false;
  #room: PromiseWithResolvers<void> | undefined;
  #cancelStall: (() => void) | undefined;
  #cancelPing: (() => void) | undefined;
  readonly #over = Promise.withResolvers<void>();

  constructor({ pid, size, clock }: SessionClientOptions) {
    this.pid = pid;
    this.#size = size;
    this.#clock = clock;
    this.#lastHeardMs = clock.now();
  }

  get size(): TerminalSize {
    return this.#size;
  }

  /** More waits for it than it should: await {@linkcode room} before the next. */
  get isFull(): boolean {
    return this.#queue.bytes > FULL_BYTES && !this.#isFinished;
  }

  /** Resolves when its connection has what it was to get, or will never get it. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** The session tells who hears of this client from now on. */
  attachTo(handlers: ClientHandlers): void {
    this.#handlers = handlers;
    this.#lastHeardMs = this.#clock.now();
    this.#armPing();
  }

  /** Queues some of the terminal's output; takes a copy. */
  send(output: Uint8Array): void {
    if (this.#isFinished) return;
    for (let start = 0; start < output.length; start += MAX_FRAME_PAYLOAD_BYTES) {
      this.#queue.push(encodeFrame("data", output.subarray(start, start + MAX_FRAME_PAYLOAD_BYTES)));
    }
    this.#watchForStall();
    if (this.#queue.bytes > MAX_BYTES) this.#leave({ reason: "slow" });
  }

  /** Resolves when it is not full any more, and after {@linkcode STALL_MS} in any case: no session waits longer. */
  async room(): Promise<void> {
    if (!this.isFull) return;
    this.#room ??= Promise.withResolvers();
    await settlesWithin(this.#room.promise, { timeoutMs: STALL_MS, clock: this.#clock });
  }

  /** Its last frame: what is queued is still sent before it, but for a client that is slow. */
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

  /** Carries frames both ways until the client is gone, or has its last frame. */
  async serve(connection: ClientConnection): Promise<void> {
    const { signal } = connection;
    const gone = () => this.#over.resolve();
    signal.addEventListener("abort", gone, { once: true });
    if (signal.aborted) gone();
    // Both end with the connection at the latest, which its owner closes when this returns.
    this.#receive(connection.frames()).catch((error) => this.#over.reject(error));
    // A send that fails tells that the client is gone, and so does the signal.
    this.#queue.pump((bytes) => connection.send(bytes)).then(gone, gone);
    try {
      await this.#over.promise;
    } finally {
      signal.removeEventListener("abort", gone);
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
    // The end of its input: it hung up.
    this.#leave({ reason: "requested" });
  }

  async #received({ kind, payload }: Frame): Promise<void> {
    this.#lastHeardMs = this.#clock.now();
    switch (kind) {
      case "data":
        this.#isHeldBack = true;
        await this.#handlers?.onInput(payload);
        this.#isHeldBack = false;
        this.#lastHeardMs = this.#clock.now();
        break;
      case "resize":
        this.#size = readSize(payload);
        this.#handlers?.onResize(this.#size);
        break;
      case "detach":
        this.#leave({ reason: "requested" });
        break;
      case "ping": // said that it is there; an answer to an answer would never end
        break;
      default:
        throw new FrameError(`a client has no ${kind} to send`);
    }
  }

  #leave(detach: SessionDetach): void {
    if (this.#isFinished) return;
    // The session answers with `finish`; where there is none, there is nobody to wait for either.
    if (this.#handlers === undefined) this.finish({ detach });
    else this.#handlers.onLeave(detach);
  }

  #ping(): void {
    if (this.#silenceLeftMs() <= 0) return this.#leave({ reason: "silent" });
    // Behind a full queue it would only come late.
    if (!this.isFull) this.#queue.push(encodeFrame("ping"));
    this.#armPing();
  }

  #armPing(): void {
    const delayMs = Math.min(PING_EVERY_MS, this.#silenceLeftMs());
    this.#cancelPing = this.#clock.after(delayMs, () => this.#ping());
  }

  /** How long it may still say nothing. */
  #silenceLeftMs(): number {
    return this.#isHeldBack ? SILENT_FOR_MS : this.#lastHeardMs + SILENT_FOR_MS - this.#clock.now();
  }

  #taken(): void {
    this.#cancelStall?.();
    this.#cancelStall = undefined;
    if (this.#queue.bytes < ROOM_AGAIN_BYTES) {
      this.#room?.resolve();
      this.#room = undefined;
    }
    this.#watchForStall();
  }

  /** Runs while it must take something: when it is full, and at its end. */
  #watchForStall(): void {
    const mustTake = this.isFull || this.#isFinished && this.#queue.bytes > 0;
    if (!mustTake || this.#cancelStall !== undefined) return;
    this.#cancelStall = this.#clock.after(STALL_MS, () => {
      this.#cancelStall = undefined;
      if (this.#isFinished) this.#over.resolve();
      else this.#leave({ reason: "slow" });
    });
  }
}

/** @throws {FrameError} for what is no size */
function readSize(payload: Uint8Array): TerminalSize {
  if (payload.length !== 4) throw new FrameError(`a resize has 4 bytes, this one ${payload.length}`);
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { columns: view.getUint16(0, true), rows: view.getUint16(2, true) };
}
