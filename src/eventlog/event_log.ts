/**
 * The log of events that all subscribers read, each from a cursor of its own.
 *
 * `append` encodes the event's bare line once, into the newest segment in memory. (A session event has further fields. They
 * are kept beside the segment, for the journal and for resumable subscribers.) A commit then takes all events that wait, in
 * this order: the journal writes them, in one transaction with the changed rows of state; subscribers may see them; idle
 * subscribers are woken; old segments are evicted. So no subscriber ever sees an event that a killed daemon has lost, an
 * append costs the same for one subscriber as for ten thousand, and no publisher waits for a subscriber. `CommitPoint`
 * says when a commit happens.
 *
 * When the journal cannot write (full disk, damaged file), the log publishes anyway: the journal starts a new epoch, by
 * which subscribers see that older cursors are not continuous with it.
 *
 * The log owns its subscriptions, and each subscription owns its connection. {@linkcode EventLog.close} ends them all; it
 * does not close the journal, which belongs to the storage. One timer disconnects subscribers that do not read. It runs only
 * while a subscriber is busy.
 */
import type { Clock } from "../platform/clock.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import type { Cursor } from "../protocol/event_operations.ts";
import { bareEvent, type WireEvent } from "../protocol/wire_event.ts";
import type { CommitPoint } from "../storage/commit_point.ts";
import type { EventJournal } from "../storage/journal/event_journal.ts";
import { EventSource } from "./event_source.ts";
import { LiveFeed } from "./live_feed.ts";
import { Heartbeat, ResumableFeed, type ResumeOptions } from "./resumable_feed.ts";
import { SegmentList } from "./segment_list.ts";
import {
  type CloseReason,
  type Feed,
  finishAll,
  type SubscribeOptions,
  Subscription,
} from "./subscription.ts";
import { WakeScheduler } from "./wake_scheduler.ts";

/** The unit of eviction, and the most that a stalled write can keep in memory. */
const SEGMENT_BYTES = 256 * 1024;
/** About 18,000 events: how far a subscriber may fall behind. */
const RETAINED_BYTES = 4 * 1024 * 1024;
/**
 * Events that may wait for the end of a turn. It bounds how long the first of them waits and how much one commit writes, even
 * in a turn that does not end because input is always ready.
 */
const MAX_WAITING_EVENTS = 256;
/** A subscriber is disconnected this much later than its patience allows, at most. */
const SWEEP_INTERVAL_MS = 5_000;
/** Closed subscriptions that the list of idle ones may contain, beyond its own number. */
const IDLE_SLACK = 64;
/** How long {@linkcode EventLog.close} lets subscribers read what is pending. */
const DRAIN_LIMIT_MS = 2_000;

export interface EventLogOptions {
  readonly clock: Clock;
  /** Logs subscribers that are disconnected because of a defect or damaged data. Silent by default. */
  readonly logger?: Logger;
  /** Makes events durable before subscribers see them, supplies those that are no longer in memory, and has the epoch. */
  readonly journal: EventJournal;
  readonly segmentBytes?: number;
  readonly retainedBytes?: number;
}

export interface ResumableSubscribeOptions extends SubscribeOptions, ResumeOptions {
  /** Sends `stream.heartbeat` when nothing else was sent for this time; never by default. */
  readonly heartbeatMs?: number;
}

export interface EventLogStats {
  /** Events appended by this process. */
  readonly eventsPublished: number;
  /** `seq` of the newest event; 0 before the first. */
  readonly headSeq: number;
  /** `seq` of the oldest event in memory; `headSeq + 1` when memory holds none. */
  readonly oldestSeq: number;
  /** Size of the segments in memory. */
  readonly memoryBytes: number;
  readonly subscribers: number;
  /** Subscribers disconnected as `slow` or `stalled` since the start. */
  readonly subscribersDropped: number;
}

export class EventLog implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #retainedBytes: number;
  readonly #segments: SegmentList;
  readonly #journal: EventJournal;
  readonly #source: EventSource;
  readonly #commits: CommitPoint;
  readonly #wakes = new WakeScheduler();
  readonly #subscriptions = new Set<Subscription>();
  /** To be woken at the next commit. Some have closed since. An array is cheaper than a set for thousands. */
  #idle: Subscription[] = [];
  #headSeq: number;
  #eventsPublished = 0;
  #subscribersDropped = 0;
  /** Events that are appended and not committed. */
  #waitingEvents = 0;
  #cancelSweep: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: EventLogOptions) {
    const { clock, logger = silentLogger, journal } = options;
    this.#clock = clock;
    this.#logger = logger;
    this.#journal = journal;
    this.#headSeq = journal.headSeq;
    this.#retainedBytes = options.retainedBytes ?? RETAINED_BYTES;
    this.#segments = new SegmentList({
      firstSeq: this.#headSeq + 1,
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
    });
    this.#source = new EventSource({ segments: this.#segments, journal });
    this.#commits = journal.joinLog(this.#commit);
  }

  /** 16 hex digits, the first part of each cursor. A new epoch begins when the journal fails. */
  get epoch(): string {
    return this.#journal.epoch;
  }

  /** The cursor after the last event that was appended. */
  get head(): Cursor {
    return { epoch: this.epoch, seq: this.#headSeq };
  }

  /**
   * Publishes an event at the next commit, and returns its `seq`. Never waits, and costs the same for any number of
   * subscribers. Subscribers read between the blocks that append: a block that appends more than memory retains (about 18,000
   * events) loses some of it for every subscriber.
   */
  append(event: WireEvent): number {
    const bare = bareEvent(event);
    this.#segments.append(JSON.stringify(bare), event, bare === event ? undefined : JSON.stringify(event));
    this.#eventsPublished++;
    if (++this.#waitingEvents < MAX_WAITING_EVENTS) this.#commits.forEvent();
    else this.#commits.atBlockEnd();
    return ++this.#headSeq;
  }

  /** Adds a subscriber that gets the bare line of every event from now on. */
  subscribe(options: SubscribeOptions): Subscription {
    return this.#add(new LiveFeed(this.#segments), options);
  }

  /**
   * Adds a subscriber that gets numbered events and stream records (`event_operations.ts`), from the position that it asks for.
   * When it is too slow for memory, it continues from the journal.
   */
  subscribeResumable(options: ResumableSubscribeOptions): Subscription {
    const feed = new ResumableFeed({
      ...options,
      source: this.#source,
      head: () => this.head,
      lastSharedSeq: (epoch) => this.#journal.lastSharedSeq(epoch),
      clock: this.#clock,
    });
    let heartbeat: Heartbeat | undefined;
    const subscription = this.#add(feed, {
      ...options,
      onClose: (reason, error) => {
        heartbeat?.[Symbol.dispose]();
        options.onClose?.(reason, error);
      },
    });
    if (options.heartbeatMs !== undefined) {
      const send = (): void => subscription.nudge();
      heartbeat = new Heartbeat({ feed, clock: this.#clock, everyMs: options.heartbeatMs, send });
    }
    // Later, for the same reason as in `#add`.
    queueMicrotask(() => {
      subscription.nudge();
      this.#sweepLater();
    });
    return subscription;
  }

  stats(): EventLogStats {
    return {
      eventsPublished: this.#eventsPublished,
      headSeq: this.#headSeq,
      oldestSeq: this.#segments.oldest.firstSeq,
      memoryBytes: this.#segments.memoryBytes,
      subscribers: this.#subscriptions.size,
      subscribersDropped: this.#subscribersDropped,
    };
  }

  /** Gives subscribers at most `limitMs` to read what is pending, then ends them all. Idempotent. */
  close(limitMs: number = DRAIN_LIMIT_MS): Promise<void> {
    return this.#closing ??= this.#close(limitMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #add(feed: Feed, { connection, onClose, onReleased }: SubscribeOptions): Subscription {
    const subscription = new Subscription({ connection, feed, host: this.#host, onClose, onReleased });
    this.#subscriptions.add(subscription);
    if (this.#closing === undefined) subscription.list();
    // Later: the caller does not have the subscription yet that `onClose` is about.
    else queueMicrotask(() => subscription.close());
    return subscription;
  }

  readonly #host = {
    idle: (subscription: Subscription): void => void this.#idle.push(subscription),
    closed: (subscription: Subscription, reason: CloseReason): void => {
      this.#subscriptions.delete(subscription);
      // Subscribers that come and go while no event is published must not pile up.
      if (this.#idle.length > 2 * this.#subscriptions.size + IDLE_SLACK) {
        this.#idle = this.#idle.filter(({ closed }) => !closed);
      }
      if (reason === "slow" || reason === "stalled") this.#subscribersDropped++;
    },
    failed: (error: unknown): void => {
      const details = error instanceof Error ? error.stack ?? error.message : String(error);
      this.#logger.error(`disconnected a subscriber because its next events could not be read: ${details}`);
    },
  };

  readonly #commit = (): void => {
    if (this.#waitingEvents === 0) return;
    this.#waitingEvents = 0;
    this.#journal.commit(this.#segments.unpublished());
    this.#segments.publish();
    this.#wakeIdle();
    // After the wake: an idle subscriber starts its first write before its segment is evicted.
    this.#segments.evict(this.#retainedBytes);
  };

  #wakeIdle(): void {
    if (this.#idle.length === 0) return;
    const batch = this.#idle;
    this.#idle = [];
    this.#wakes.wake(batch);
    this.#sweepLater();
  }

  #sweepLater(): void {
    if (this.#closing !== undefined && this.#subscriptions.size === 0) return;
    this.#cancelSweep ??= this.#clock.after(SWEEP_INTERVAL_MS, this.#sweep);
  }

  readonly #sweep = (): void => {
    this.#cancelSweep = undefined;
    const nowMs = this.#clock.now();
    let isAnyBusy = false;
    for (const subscription of this.#subscriptions) isAnyBusy = subscription.sweep(nowMs) || isAnyBusy;
    if (isAnyBusy) this.#sweepLater();
  };

  async #close(limitMs: number): Promise<void> {
    this.#commit();
    this.#commits[Symbol.dispose]();
    await finishAll(this.#subscriptions, { clock: this.#clock, limitMs });
    this.#wakes[Symbol.dispose]();
    this.#idle = [];
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }
}
