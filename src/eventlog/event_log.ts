/**
 * The one log that all subscribers read, each from a cursor of its own.
 *
 * `append` encodes a bare line once, into the last segment (a session event's other fields are kept beside it, for the
 * journal and extended subscribers), and schedules one flush for the end of the current block (a
 * microtask). The flush commits the batch to the journal, if there is one, then lets the subscribers see it, wakes the
 * idle ones in lanes, and evicts old segments. So whatever a subscriber saw has been committed, an append costs the
 * same with one subscriber as with ten thousand, and nobody upstream ever waits for a subscriber.
 *
 * The log owns its subscriptions, and these own their connections: {@linkcode EventLog.close} ends them all. One timer
 * looks after those that take nothing, and it runs only while somebody is busy.
 */
import type { Clock } from "../platform/clock.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import type { Cursor } from "../protocol/cursor.ts";
import { bareEvent, type WireEvent } from "../protocol/wire_event.ts";
import { CommitPoint } from "../storage/database.ts";
import type { EventFilter } from "../storage/journal/event_filter.ts";
import type { EventJournal } from "../storage/journal/event_journal.ts";
import { newEpoch } from "../storage/journal/journal_identity.ts";
import { EventSource } from "./event_source.ts";
import { LiveFeed, LogCursor } from "./live_feed.ts";
import { Heartbeat, ResumableFeed, type SnapshotState } from "./resumable_feed.ts";
import type { LogLine } from "./segment.ts";
import { SegmentList } from "./segment_list.ts";
import {
  type CloseReason,
  type Feed,
  finishAll,
  type SubscriberConnection,
  Subscription,
} from "./subscription.ts";
import { WakeScheduler } from "./wake_scheduler.ts";

/** What one eviction takes away, and what a stalled write can pin at most. */
const SEGMENT_BYTES = 256 * 1024;
/** Some 18,000 events: a subscriber may be that far behind. */
const RETAINED_BYTES = 4 * 1024 * 1024;
/** That a subscriber's time is up is noticed so much late at most. */
const SWEEP_INTERVAL_MS = 5_000;
/** Closed subscriptions that the list of idle ones may hold beside its own number. */
const IDLE_SLACK = 64;
/**
 * Events of one turn that wait for its end at most. It bounds how long the first of them waits, and how much a commit writes:
 * a turn in which input is always ready has no end.
 */
const MAX_HELD_EVENTS = 256;
/** How long {@linkcode EventLog.close} lets subscribers take what is theirs. */
const DRAIN_LIMIT_MS = 2_000;

export interface EventLogOptions {
  readonly clock: Clock;
  /** Told of subscribers that had to be cut off because of a mistake or a damage here; nobody is by default. */
  readonly logger?: Logger;
  /** Makes each batch durable before any subscriber sees it, says where the log goes on, and has what memory has not. */
  readonly journal?: EventJournal;
  /** Without a journal. 16 hex digits; with `seq` they make a cursor. A new one by default. */
  readonly epoch?: string;
  /** Without a journal: the `seq` of the last event of this epoch that was ever appended; 0 by default. */
  readonly lastSeq?: number;
  /**
   * Instead of a journal: makes a batch durable, before any subscriber sees it. Synchronous, so that order holds; must not throw. The lines'
   * bytes are the log's own: to be copied, or bound, before it returns.
   */
  readonly commit?: (lines: Iterable<LogLine>) => void;
  readonly segmentBytes?: number;
  readonly retainedBytes?: number;
}

export interface SubscribeOptions {
  /** The log closes it when the subscription ends. */
  readonly connection: SubscriberConnection;
  /** Called once, when the subscription is over, from whatever ended it. */
  readonly onClose?: (reason: CloseReason, error?: unknown) => void;
  /** Called once, at or after `onClose`, when its connection's descriptor is free again. */
  readonly onReleased?: () => void;
}

export interface ExtendedSubscribeOptions extends SubscribeOptions {
  /** Which events; all by default. */
  readonly filter?: EventFilter;
  /** Resumes after this one; at the head by default. `resumeCursor` makes it from text. */
  readonly after?: Cursor;
  /** Sent as `stream.snapshot`, before any event. To be taken in the block in which this is called. */
  readonly snapshot?: SnapshotState;
  /** Sends `stream.heartbeat` when nothing else was sent for so long; never by default. */
  readonly heartbeatMs?: number;
  /** Ends after so many events. */
  readonly limit?: number;
}

export interface EventLogStats {
  /** Events appended by this process. */
  readonly eventsPublished: number;
  /** `seq` of the newest event; 0 before the first. */
  readonly headSeq: number;
  /** `seq` of the oldest event in memory; `headSeq + 1` when there is none. */
  readonly oldestSeq: number;
  /** Bytes that the log's segments take. */
  readonly memoryBytes: number;
  readonly subscribers: number;
  /** Subscribers disconnected as `slow` or `stalled`, since the start. */
  readonly subscribersDropped: number;
}

/** The shared, segmented event log. */
export class EventLog implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #commit: ((lines: Iterable<LogLine>) => void) | undefined;
  readonly #retainedBytes: number;
  readonly #segments: SegmentList;
  readonly #journal: EventJournal | undefined;
  /** Of a log without a journal. */
  readonly #ownEpoch: string;
  readonly #source: EventSource;
  readonly #lanes = new WakeScheduler();
  readonly #subscriptions = new Set<Subscription>();
  /** Those to wake at the next flush, and some that have closed since. An array: cheaper than a set for thousands. */
  #idle: Subscription[] = [];
  #headSeq: number;
  #eventsPublished = 0;
  #subscribersDropped = 0;
  /** Appended, but not committed. */
  #heldEvents = 0;
  readonly #commits: CommitPoint;
  #cancelSweep: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: EventLogOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger ?? silentLogger;
    const { journal } = options;
    this.#journal = journal;
    this.#ownEpoch = options.epoch ?? newEpoch();
    this.#headSeq = journal?.headSeq ?? options.lastSeq ?? 0;
    this.#commit = journal === undefined ? options.commit : (lines) => journal.commit(lines);
    this.#retainedBytes = options.retainedBytes ?? RETAINED_BYTES;
    this.#segments = new SegmentList({
      firstSeq: this.#headSeq + 1,
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
    });
    this.#commits = journal?.joinLog(this.#flush) ?? new CommitPoint(this.#flush);
    this.#source = new EventSource({ segments: this.#segments, journal });
  }

  /** 16 hex digits; with `seq` they make a cursor. A new one begins when the journal fails. */
  get epoch(): string {
    return this.#journal?.epoch ?? this.#ownEpoch;
  }

  /** After the last event that was appended. */
  get head(): Cursor {
    return { epoch: this.epoch, seq: this.#headSeq };
  }

  /**
   * Publishes an event, and returns its `seq`. O(1) whatever the number of subscribers; it never waits. Subscribers read
   * between the blocks that append: more in one block than memory retains (some 18,000 events) is lost even to the quick.
   */
  append(event: WireEvent): number {
    const bare = bareEvent(event);
    this.#segments.append(JSON.stringify(bare), event, bare === event ? undefined : JSON.stringify(event));
    this.#eventsPublished++;
    if (++this.#heldEvents < MAX_HELD_EVENTS) this.#commits.forEvent();
    else this.#commits.atBlockEnd();
    return ++this.#headSeq;
  }

  /** Adds a subscriber that gets the bare line of every event appended from now on. */
  subscribe(options: SubscribeOptions): Subscription {
    return this.#add(new LiveFeed(LogCursor.atHead(this.#segments)), options);
  }

  /**
   * Adds a subscriber that gets numbered events and stream records (`stream_record.ts`), from where it asks to begin. One
   * that is too slow for memory reads on from the journal.
   */
  subscribeExtended(options: ExtendedSubscribeOptions): Subscription {
    const feed = new ResumableFeed({
      source: this.#source,
      head: () => this.head,
      lastSharedSeq: (epoch) => this.#journal?.lastSharedSeq(epoch),
      filter: options.filter,
      after: options.after,
      snapshot: options.snapshot,
      limit: options.limit,
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
      heartbeat = new Heartbeat({
        clock: this.#clock,
        everyMs: options.heartbeatMs,
        lastSentMs: () => feed.lastSentMs,
        beat: () => {
          feed.beat();
          subscription.nudge();
        },
      });
    }
    // Not in this turn, for the same reason as below.
    queueMicrotask(() => {
      subscription.nudge();
      this.#sweepLater();
    });
    return subscription;
  }

  #add(feed: Feed, { connection, onClose, onReleased }: SubscribeOptions): Subscription {
    const subscription = new Subscription({ connection, feed, host: this.#host, onClose, onReleased });
    this.#subscriptions.add(subscription);
    if (this.#closing === undefined) subscription.list();
    // Not in this turn: the caller does not have the subscription yet that `onClose` tells of.
    else queueMicrotask(() => subscription.close());
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

  /** Gives subscribers at most `limitMs` to take what is pending, then ends them all. Idempotent. */
  close(limitMs: number = DRAIN_LIMIT_MS): Promise<void> {
    this.#closing ??= this.#close(limitMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #host = {
    idle: (subscription: Subscription): void => void this.#idle.push(subscription),
    closed: (subscription: Subscription, reason: CloseReason): void => {
      this.#subscriptions.delete(subscription);
      // Who comes and goes while nothing happens must not pile up.
      if (this.#idle.length > 2 * this.#subscriptions.size + IDLE_SLACK) {
        this.#idle = this.#idle.filter(({ closed }) => !closed);
      }
      if (reason === "slow" || reason === "stalled") this.#subscribersDropped++;
    },
    failed: (error: unknown): void => {
      const details = error instanceof Error ? error.stack ?? error.message : String(error);
      this.#logger.error(`disconnected a subscriber that could not be given the next events: ${details}`);
    },
  };

  readonly #flush = (): void => {
    if (this.#heldEvents === 0) return;
    this.#heldEvents = 0;
    this.#commit?.(this.#segments.unpublished());
    this.#segments.publish();
    this.#wakeIdle();
    // After the wake, so that who was idle has had its first write before its segment goes.
    this.#segments.evict(this.#retainedBytes);
  };

  #wakeIdle(): void {
    if (this.#idle.length === 0) return;
    const batch = this.#idle;
    this.#idle = [];
    this.#lanes.wake(batch);
    this.#sweepLater();
  }

  #sweepLater(): void {
    if (this.#closing !== undefined && this.#subscriptions.size === 0) return;
    this.#cancelSweep ??= this.#clock.after(SWEEP_INTERVAL_MS, this.#sweep);
  }

  readonly #sweep = (): void => {
    this.#cancelSweep = undefined;
    const nowMs = this.#clock.now();
    let busy = false;
    for (const subscription of this.#subscriptions) busy = subscription.sweep(nowMs) || busy;
    if (busy) this.#sweepLater();
  };

  async #close(limitMs: number): Promise<void> {
    this.#flush();
    if (this.#journal === undefined) this.#commits[Symbol.dispose]();
    await finishAll(this.#subscriptions, { clock: this.#clock, limitMs });
    this.#lanes[Symbol.dispose]();
    this.#idle = [];
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }
}
