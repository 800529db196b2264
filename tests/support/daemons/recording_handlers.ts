import type { ContainerSummary } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import type { ConnectedInfo, FollowHandlers } from "../../../src/engine/events/followed_connection.ts";
import { systemClock } from "../../../src/platform/clock.ts";

/** A real engine on a busy machine needs a few seconds at most. */
const GIVE_UP_AFTER_MS = 30_000;

/** Handlers that record their calls, and let a test wait for them. */
export class RecordingHandlers implements FollowHandlers {
  /** In order, as `connected 2 first`, `event start a`, `silent die b`, `reconcile 2`, `disconnected <why>`. */
  readonly log: string[] = [];
  readonly events: EngineEvent[] = [];
  readonly infos: ConnectedInfo[] = [];
  /** Called by `reconcile` after it is recorded. */
  onReconcile: (containers: ContainerSummary[], signal: AbortSignal) => Promise<void> = () =>
    Promise.resolve();
  #waiting: { readonly isThere: () => boolean; readonly resolve: () => void }[] = [];

  connected(info: ConnectedInfo): void {
    this.infos.push(info);
    this.#note(`connected ${info.containers.length}${info.first ? " first" : ""}`);
  }

  event(event: EngineEvent, silent: boolean): void {
    this.events.push(event);
    this.#note(`${silent ? "silent" : "event"} ${event.action} ${event.id}`);
  }

  async reconcile(containers: ContainerSummary[], signal: AbortSignal): Promise<void> {
    this.#note(`reconcile ${containers.length}`);
    await this.onReconcile(containers, signal);
  }

  disconnected(error: string): void {
    this.#note(`disconnected ${error}`);
  }

  /** Resolves when `times` lines that begin with `start` are recorded. */
  async until(start: string, times = 1): Promise<void> {
    await this.untilTrue(() => this.count(start) >= times, `"${start}" ${times} times`);
  }

  /** @param what for the message */
  async untilTrue(isThere: () => boolean, what = `${isThere}`): Promise<void> {
    if (isThere()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ isThere, resolve });
    const cancel = systemClock.after(
      GIVE_UP_AFTER_MS,
      () =>
        reject(
          new Error(`waited ${GIVE_UP_AFTER_MS / 1_000} s for ${what}; so far:\n${this.log.join("\n")}`),
        ),
    );
    try {
      await promise;
    } finally {
      cancel();
    }
  }

  count(start: string): number {
    return this.log.filter((line) => line.startsWith(start)).length;
  }

  #note(line: string): void {
    this.log.push(line);
    const isDone = (wait: { isThere: () => boolean }) => wait.isThere();
    const done = this.#waiting.filter(isDone);
    this.#waiting = this.#waiting.filter((wait) => !done.includes(wait));
    for (const wait of done) wait.resolve();
  }
}
