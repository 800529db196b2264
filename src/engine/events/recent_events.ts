import type { EngineEvent } from "./engine_event.ts";

export interface RecentEventsOptions {
  /** How far the engine may repeat itself: events older than the newest by more than this are forgotten. */
  readonly windowNano: number;
  /** Beyond this many the oldest are forgotten early. */
  readonly maxEvents: number;
}

/**
 * Remembers which events were seen lately, so that a replay is told from news. Engines give events no number; time,
 * action and container together are as good. Time here is the engine's alone: nothing is forgotten while it is silent,
 * and its clock may differ from ours.
 *
 * Two generations, each a window long: when the younger one spans a window, the older one is dropped whole. So at
 * least one window is remembered, at most two, and no event costs more than a set's insertion.
 */
export class RecentEvents {
  readonly #windowNano: number;
  readonly #maxPerGeneration: number;
  #young = new Set<string>();
  #old = new Set<string>();
  /** Newest time in `#young`, and the time at which it began. */
  #newestNano = 0;
  #youngSinceNano = 0;

  constructor({ windowNano, maxEvents }: RecentEventsOptions) {
    this.#windowNano = windowNano;
    this.#maxPerGeneration = Math.max(1, Math.floor(maxEvents / 2));
  }

  /** Remembers the event; false when it was known already. */
  add(event: Pick<EngineEvent, "timeNano" | "id" | "action">): boolean {
    const key = `${event.timeNano} ${event.action} ${event.id}`;
    if (this.#young.has(key) || this.#old.has(key)) return false;
    this.#newestNano = Math.max(this.#newestNano, event.timeNano);
    const isSpanned = this.#newestNano - this.#youngSinceNano > this.#windowNano;
    if (isSpanned || this.#young.size >= this.#maxPerGeneration) {
      this.#old = this.#young;
      this.#young = new Set();
      this.#youngSinceNano = this.#newestNano;
    }
    this.#young.add(key);
    return true;
  }

  /** Forgets everything: another engine begins. */
  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#newestNano = 0;
    this.#youngSinceNano = 0;
  }
}
