/**
 * What following remembers from one connection to the next: how far it came in the engine's own time, which events it
 * has seen lately, and before which time all is baseline. No I/O, no clock of ours.
 */
import type { EngineEvent } from "./engine_event.ts";
import { RecentEvents } from "./recent_events.ts";

/**
 * How far before the last seen event a replay begins. Engines stamp an event before they hand it on, so one may come
 * after another that is stamped later; under load by well under a second.
 */
const REPLAY_NANO = 2e9;
/** Twice the replay: Podman cuts `since` to whole seconds, so it replays up to one more. */
const REMEMBERED_NANO = 2 * REPLAY_NANO;
/** At 100 bytes an event some 6 MB at most. No engine makes this many in four seconds. */
const MAX_REMEMBERED_EVENTS = 65_536;
/** What a double resolves at this time; `sinceNano` itself was seen, the next one was not. */
const TIME_STEP_NANO = 256;

/** `repeat`: seen already. `silent`: older than the baseline, so known from the list. */
export type EventNovelty = "news" | "silent" | "repeat";

export class FollowMemory {
  readonly #recent = new RecentEvents({ windowNano: REMEMBERED_NANO, maxEvents: MAX_REMEMBERED_EVENTS });
  readonly #isResumed: boolean;
  #hasConnected = false;
  #engineId: string | undefined;
  #newestNano: number | undefined;
  #silentBeforeNano = 0;

  /** @param sinceNano engine time of the last event known from an earlier life */
  constructor(sinceNano?: number) {
    this.#isResumed = sinceNano !== undefined;
    this.#newestNano = sinceNano;
    if (sinceNano !== undefined) this.#silentBeforeNano = sinceNano + TIME_STEP_NANO;
  }

  /** Engine time of the newest event seen; before any, that of the first connection. */
  get newestNano(): number | undefined {
    return this.#newestNano;
  }

  /** No connection has been completed, and there was no earlier life. */
  get isFirst(): boolean {
    return !this.#isResumed && !this.#hasConnected;
  }

  /**
   * A connection begins.
   * @param nowNano the engine's clock
   * @returns the engine time to replay from, ns
   */
  begin(engineId: string, nowNano: number): number {
    const isOther = this.#engineId !== undefined && this.#engineId !== engineId;
    if (this.isFirst || isOther) {
      // What this engine did before is not ours to tell: its list is where we begin.
      this.#recent.clear();
      this.#newestNano = nowNano;
      this.#silentBeforeNano = nowNano;
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
