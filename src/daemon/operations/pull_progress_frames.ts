import type { PullProgress } from "../../engine/image_pull.ts";
import type { Clock } from "../../platform/clock.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";

/** People see no more than ten steps a second; an engine reports every 512 KiB of every layer. */
const INTERVAL_MS = 100;
/** No image has more; progress of further layers is ignored. */
const MAX_LAYERS = 512;

/**
 * Sends the progress of a pull as `progress` frames: the newest step of each layer, ten times a second at most. It accepts steps
 * at any time, even before it has a channel, and never waits for the client.
 */
export class PullProgressFrames implements Disposable {
  readonly #clock: Clock;
  /** The newest step of each layer that was not sent yet. */
  readonly #pending = new Map<string, PullProgress>();
  #channel: ControlChannel | undefined;
  #cancelPause: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Accepts one step. */
  readonly add = (progress: PullProgress): void => {
    const layer = progress.layer ?? "";
    if (this.#isOver || (this.#pending.size >= MAX_LAYERS && !this.#pending.has(layer))) return;
    this.#pending.set(layer, progress);
    this.#send();
  };

  /** Sends to this channel from now on. */
  sendTo(channel: ControlChannel): void {
    this.#channel = channel;
    this.#send();
  }

  /** Accepts no further step, and resolves when the last ones are sent. @throws if the client has hung up */
  async finish(): Promise<void> {
    this[Symbol.dispose]();
    await this.#sending;
    if (this.#channel !== undefined) await this.#sendPending(this.#channel);
  }

  /** Sends nothing more. */
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
      // The client has hung up.
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
