/**
 * What the follower remembers between connections: the position in the engine's own time, the recent events, and the
 * baseline before which all events are silent. For an engine that was followed in an earlier run, it is recalled. No
 * I/O, and no clock of our own.
 */
import type { EngineEvent } from "./event_stream.ts";

/** What is known of an engine from an earlier run. */
export interface EngineRecollection {
  /** Engine time of the newest event that was processed, ns; that of the first connection when there was no event. */
  readonly newestNano: number;
  /** Events older than this engine time (ns) were silent then, and are now. */
  readonly baselineNano: number;
  /** The processed events that the engine may repeat, oldest first. */
  readonly seen: readonly Pick<EngineEvent, "timeNano" | "id" | "action">[];
}

/** Undefined for an engine that was never followed. */
export type RecallEngine = (engineId: string) => EngineRecollection | undefined;

/**
 * How far before the newest event a replay begins. Engines timestamp an event before they send it, so an event may
 * arrive after another with a later timestamp; under load, by well under a second.
 */
const REPLAY_NANO = 2e9;
/** Twice the replay: Podman truncates `since` to whole seconds, so it replays up to one second more. */
const REMEMBERED_NANO = 2 * REPLAY_NANO;
/** At 100 bytes an event, at most some 6 MB. No engine emits as many events in four seconds. */
const MAX_REMEMBERED_EVENTS = 65_536;
/** `repeat`: already processed. `silent`: older than the baseline, so included in the list. */
export type EventNovelty = "news" | "silent" | "repeat";

export class FollowMemory {
  readonly #recent = new RecentEvents({ windowNano: REMEMBERED_NANO, maxEvents: MAX_REMEMBERED_EVENTS });
  readonly #recall: RecallEngine;
  #hasConnected = false;
  #isRecalled = false;
  #engineId: string | undefined;
  #newestNano: number | undefined;
  #silentBeforeNano = 0;

  /** @param recall called for each engine that is connected */
  constructor(recall: RecallEngine = () => undefined) {
    this.#recall = recall;
  }

  /** Engine time of the newest event, ns; before the first event, that of the first connection. */
  get newestNano(): number | undefined {
    return this.#newestNano;
  }

  /** No connection has been completed, in this run or an earlier one. */
  get isFirst(): boolean {
    return !this.#isRecalled && !this.#hasConnected;
  }

  /** Events older than this engine time (ns) are silent. */
  get baselineNano(): number {
    return this.#silentBeforeNano;
  }

  /**
   * Begins a connection.
   * @param nowNano the engine's clock
   * @returns the engine time to replay from, ns
   */
  begin(engineId: string, nowNano: number): number {
    if (!this.#hasConnected || this.#engineId !== engineId) {
      // A new engine starts at its list of containers: its earlier events are not published.
      const known = this.#recall(engineId);
      this.#isRecalled = known !== undefined;
      this.#recent.clear();
      for (const event of known?.seen ?? []) this.#recent.add(event);
      this.#newestNano = known?.newestNano ?? nowNano;
      this.#silentBeforeNano = known?.baselineNano ?? nowNano;
    }
    this.#engineId = engineId;
    // The engine's clock may have been set back. A `since` in the engine's future would replay nothing.
    this.#newestNano = Math.min(this.#newestNano ?? nowNano, nowNano);
    return this.#newestNano - REPLAY_NANO;
  }

  /** Completes the connection: the headers and the list have arrived. */
  completed(): void {
    this.#hasConnected = true;
  }

  /** Records an event, and classifies it. */
  see(event: EngineEvent): EventNovelty {
    if (!this.#recent.add(event)) return "repeat";
    if (this.#newestNano === undefined || event.timeNano > this.#newestNano) {
      this.#newestNano = event.timeNano;
    }
    return event.timeNano < this.#silentBeforeNano ? "silent" : "news";
  }
}

export interface RecentEventsOptions {
  /** How far back the engine may repeat events: events older than the newest by more than this are forgotten. */
  readonly windowNano: number;
  /** Above this number, the oldest events are forgotten early. */
  readonly maxEvents: number;
}

/**
 * Remembers the recent events, to recognise repeats in a replay. Engines do not number their events, but time, action
 * and container identify them. Time is the engine's alone: nothing is forgotten while the engine is silent, and its
 * clock may differ from ours.
 * Events are kept in two generations, each a window long: when the younger one spans a window, the older one is
 * dropped. So one to two windows are remembered, and an event costs one insertion into a set.
 */
export class RecentEvents {
  readonly #windowNano: number;
  readonly #maxPerGeneration: number;
  #young = new Set<string>();
  #old = new Set<string>();
  /** The newest time in `#young`, and the time at which that generation began. */
  #newestNano = 0;
  #youngSinceNano = 0;

  constructor({ windowNano, maxEvents }: RecentEventsOptions) {
    this.#windowNano = windowNano;
    this.#maxPerGeneration = Math.max(1, Math.floor(maxEvents / 2));
  }

  /** Records the event; returns false when it was already recorded. */
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

  /** Forgets everything, for another engine. */
  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#newestNano = 0;
    this.#youngSinceNano = 0;
  }
}
