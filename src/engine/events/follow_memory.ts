/**
 * What following remembers from one connection to the next: how far it came in the engine's own time, which events it
 * has seen lately, and before which time all is baseline. Of an engine that was followed in an earlier life, that is
 * recalled. No I/O, no clock of ours.
 */
import type { EngineEvent } from "./event_stream.ts";

/** What is known of an engine that was followed before. */
export interface EngineRecollection {
  /** Engine time of the newest event that was dealt with, ns; the first connection's when there was none. */
  readonly newestNano: number;
  /** Older events were silent then, and are now. */
  readonly baselineNano: number;
  /** The events that were dealt with, as far as the engine may repeat them, oldest first. */
  readonly seen: readonly Pick<EngineEvent, "timeNano" | "id" | "action">[];
}

/** Undefined for an engine that was never followed. */
export type RecallEngine = (engineId: string) => EngineRecollection | undefined;

/**
 * How far before the last seen event a replay begins. Engines stamp an event before they hand it on, so one may come
 * after another that is stamped later; under load by well under a second.
 */
const REPLAY_NANO = 2e9;
/** Twice the replay: Podman cuts `since` to whole seconds, so it replays up to one more. */
const REMEMBERED_NANO = 2 * REPLAY_NANO;
/** At 100 bytes an event some 6 MB at most. No engine makes this many in four seconds. */
const MAX_REMEMBERED_EVENTS = 65_536;
/** `repeat`: seen already. `silent`: older than the baseline, so known from the list. */
export type EventNovelty = "news" | "silent" | "repeat";

export class FollowMemory {
  readonly #recent = new RecentEvents({ windowNano: REMEMBERED_NANO, maxEvents: MAX_REMEMBERED_EVENTS });
  readonly #recall: RecallEngine;
  #hasConnected = false;
  #isRecalled = false;
  #engineId: string | undefined;
  #newestNano: number | undefined;
  #silentBeforeNano = 0;

  /** @param recall asked about each engine that is met */
  constructor(recall: RecallEngine = () => undefined) {
    this.#recall = recall;
  }

  /** Engine time of the newest event seen; before any, that of the first connection. */
  get newestNano(): number | undefined {
    return this.#newestNano;
  }

  /** No connection has been completed, and there was no earlier life with this engine. */
  get isFirst(): boolean {
    return !this.#isRecalled && !this.#hasConnected;
  }

  /** Events that are older than this engine time, ns, are silent. */
  get baselineNano(): number {
    return this.#silentBeforeNano;
  }

  /**
   * A connection begins.
   * @param nowNano the engine's clock
   * @returns the engine time to replay from, ns
   */
  begin(engineId: string, nowNano: number): number {
    if (!this.#hasConnected || this.#engineId !== engineId) {
      // Where it is new: what this engine did before is not ours to tell, its list is where we begin.
      const known = this.#recall(engineId);
      this.#isRecalled = known !== undefined;
      this.#recent.clear();
      for (const event of known?.seen ?? []) this.#recent.add(event);
      this.#newestNano = known?.newestNano ?? nowNano;
      this.#silentBeforeNano = known?.baselineNano ?? nowNano;
    }
    this.#engineId = engineId;
    // The engine's clock may have been set back; a `since` in its future would replay nothing.
    this.#newestNano = Math.min(this.#newestNano ?? nowNano, nowNano);
    return this.#newestNano - REPLAY_NANO;
  }

  /** The connection is complete: headers and list are here. */
  completed(): void {
    this.#hasConnected = true;
  }

  /** Takes note of an event. */
  see(event: EngineEvent): EventNovelty {
    if (!this.#recent.add(event)) return "repeat";
    if (this.#newestNano === undefined || event.timeNano > this.#newestNano) {
      this.#newestNano = event.timeNano;
    }
    return event.timeNano < this.#silentBeforeNano ? "silent" : "news";
  }
}

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
