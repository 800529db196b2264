import type { PullProgress } from "../../engine/image_pull.ts";
import type { Clock } from "../../platform/clock.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";

/** A person sees no more than ten steps a second; an engine tells of every 512 KiB of every layer. */
const INTERVAL_MS = 100;
/** No image has more; what an engine says of others beyond is left out. */
const MAX_LAYERS = 512;

/**
 * Sends how far a pull is as `progress` frames: of each layer what was told last, ten times a second at most. It takes
 * what it is told at once, from before the channel is there, and never waits for a client.
 */
export class PullProgressFrames implements Disposable {
  readonly #clock: Clock;
  /** By layer, what was told and not yet sent. */
  readonly #pending = new Map<string, PullProgress>();
  #channel: ControlChannel | undefined;
  #cancelPause: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes one step. */
  readonly add = (progress: PullProgress): void => {
    const layer = progress.layer ?? "";
    if (this.#isOver || (this.#pending.size >= MAX_LAYERS && !this.#pending.has(layer))) return;
    this.#pending.set(layer, progress);
    this.#send();
  };

  /** Where to send it, from now on. */
  sendTo(channel: ControlChannel): void {
    this.#channel = channel;
    this.#send();
  }

  /** Resolves when what was told last is sent. Nothing is taken any more. @throws when the client is gone */
  async finish(): Promise<void> {
    this[Symbol.dispose]();
    await this.#sending;
    if (this.#channel !== undefined) await this.#sendPending(this.#channel);
  }

  /** Sends no more. */
  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancelPause?.();
    this.#cancelPause = undefined;
  }

  #send(): void {
    const channel = this.#channel;
    if (channel === undefined || this.#pending.size === 0) return;
    if (this.#isOver || this.#cancelPause !== undefined || this.#sending !== undefined) return;
    this.#cancelPause = this.#clock.after(INTERVAL_MS, () => {
      this.#cancelPause = undefined;
      this.#send();
    });
    this.#sending = this.#sendPending(channel)
      // The client is gone, and so is all interest.
      .catch(() => this[Symbol.dispose]())
      .finally(() => {
        this.#sending = undefined;
        this.#send();
      });
  }

  async #sendPending(channel: ControlChannel): Promise<void> {
    const steps = [...this.#pending.values()];
    this.#pending.clear();
    for (const step of steps) await channel.send(encodeJsonFrame("progress", step));
  }
}
