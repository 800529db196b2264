/**
 * The engine's events: the newest 256 for `since`, and the subscribers of `/events`. `publish` is synchronous and never
 * waits. Each subscriber has a bounded queue, and is ended when the queue overflows. (Docker drops events silently. After
 * an end, a client can connect again, and get the missed events with `since`.)
 */
import { type EngineTime, nanoToSeconds } from "../spec/nano_time.ts";

/** One event of the API, without its times. `status`, `id` and `from` repeat other fields under their old names. */
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

/** As many as Docker keeps. */
const MEMORY_EVENTS = 256;
/** Clients distinguish two kills by their times, which they read as doubles with steps of 256 ns. */
const EVENT_STEP_NANO = 1_000n;
/** As many as Docker queues for a subscriber. */
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

  /** The kept events from `sinceNano` on, inclusive. */
  since(sinceNano: bigint): readonly PublishedEvent[] {
    return this.#recent.filter((event) => event.timeNano >= sinceNano);
  }

  /** Subscribes at once: events published after this call are delivered. The caller disposes the subscription. */
  subscribe(): EventSubscription {
    const subscription = new EventSubscription(() => this.#subscriptions.delete(subscription));
    this.#subscriptions.add(subscription);
    return subscription;
  }
}

/** The queue of one subscriber. */
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
   * All events since the last call, at least one; undefined when the subscription has ended.
   * @throws {Error} when the queue overflowed, after the queued events were returned
   */
  async next(): Promise<readonly PublishedEvent[] | undefined> {
    while (this.#queue.length === 0) {
      if (this.#ended === "overflow") {
        throw new Error(`a client of /events was ended: it fell behind by ${MAX_QUEUED_EVENTS} events`);
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

/** A double cannot hold the nanoseconds exactly, so they are written into the text as digits. */
function encodeLine(message: EngineMessage, timeNano: bigint): Uint8Array {
  const json = JSON.stringify({ ...message, time: nanoToSeconds(timeNano) });
  return new TextEncoder().encode(`${json.slice(0, -1)},"timeNano":${timeNano}}\n`);
}
