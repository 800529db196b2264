/**
 * The engine's events: the newest 256 for those who ask `since`, and the subscribers of `/events`. `publish` is
 * synchronous and never waits; each subscriber has a bounded queue of its own, and one that falls behind by more than
 * that is ended (Docker drops silently there: an end can be noticed, and made up for with `since`).
 */
import { type EngineTime, nanoToSeconds } from "../spec/nano_time.ts";

/** One event as the API tells it, without its times. `status`, `id` and `from` are the old names of the same. */
export interface EngineMessage {
  readonly status: string;
  readonly id: string;
  readonly from: string;
  readonly Type: "container";
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly scope: "local";
}

export interface PublishedEvent {
  readonly message: EngineMessage;
  readonly timeNano: bigint;
  /** The whole line, newline included, encoded once for all subscribers. */
  readonly line: Uint8Array;
}

/** Docker's own number. */
const MEMORY_EVENTS = 256;
/** Clients read times as doubles, which tell 256 ns apart; and by their times they tell two kills apart. */
const EVENT_STEP_NANO = 1_000n;
/** Docker's own number of slots for a subscriber. */
const MAX_QUEUED_EVENTS = 1_024;

export class EventHistory {
  readonly #time: EngineTime;
  readonly #recent: PublishedEvent[] = [];
  readonly #subscriptions = new Set<EventSubscription>();

  constructor(time: EngineTime) {
    this.#time = time;
  }

  get subscriberCount(): number {
    return this.#subscriptions.size;
  }

  /** @returns the time of the event, for the state that changed with it */
  publish(message: EngineMessage): bigint {
    const timeNano = this.#time.next(EVENT_STEP_NANO);
    const event: PublishedEvent = { message, timeNano, line: encodeLine(message, timeNano) };
    this.#recent.push(event);
    if (this.#recent.length > MEMORY_EVENTS) this.#recent.shift();
    for (const subscription of this.#subscriptions) subscription.offer(event);
    return timeNano;
  }

  /** Remembered events from `sinceNano` on, itself included. */
  since(sinceNano: bigint): readonly PublishedEvent[] {
    return this.#recent.filter((event) => event.timeNano >= sinceNano);
  }

  /** Registers at once: what is published after this call is delivered. Dispose it in the end. */
  subscribe(): EventSubscription {
    const subscription = new EventSubscription(() => this.#subscriptions.delete(subscription));
    this.#subscriptions.add(subscription);
    return subscription;
  }
}

/** One subscriber's place. */
export class EventSubscription implements Disposable {
  readonly #unregister: () => void;
  readonly #queue: PublishedEvent[] = [];
  #wake = Promise.withResolvers<void>();
  #ended: "no" | "closed" | "overflow" = "no";

  constructor(unregister: () => void) {
    this.#unregister = unregister;
  }

  /** Called by the history. */
  offer(event: PublishedEvent): void {
    if (this.#ended !== "no") return;
    if (this.#queue.length >= MAX_QUEUED_EVENTS) this.#end("overflow");
    else this.#queue.push(event);
    this.#wake.resolve();
  }

  /**
   * All that came since the last call, waiting until there is something; undefined when the subscription has ended.
   * @throws {Error} when this subscriber was too slow, after it has had what was queued
   */
  async next(): Promise<readonly PublishedEvent[] | undefined> {
    while (this.#queue.length === 0) {
      if (this.#ended === "overflow") {
        throw new Error(`a reader of /events fell behind by ${MAX_QUEUED_EVENTS} events`);
      }
      if (this.#ended === "closed") return undefined;
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
    return this.#queue.splice(0);
  }

  [Symbol.dispose](): void {
    if (this.#ended === "no") this.#end("closed");
  }

  #end(how: "closed" | "overflow"): void {
    this.#ended = how;
    this.#unregister();
    this.#wake.resolve();
  }
}

/** Nanoseconds are above what a double holds exactly: they are put into the text as digits. */
function encodeLine(message: EngineMessage, timeNano: bigint): Uint8Array {
  const json = JSON.stringify({ ...message, time: nanoToSeconds(timeNano) });
  return new TextEncoder().encode(`${json.slice(0, -1)},"timeNano":${timeNano}}\n`);
}
