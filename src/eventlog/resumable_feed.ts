/**
 * The feed of a subscriber that can resume: numbered events, and between them stream records that give the position and
 * report gaps. Its position is a number, so it pins nothing of the log. It reads from memory, or from the journal when memory
 * no longer has the next event. Only when the journal has deleted that too does it report a gap. So it is never left behind.
 *
 * It holds one piece of at most 64 KiB (or one line that is longer), and the snapshot until that is sent.
 */
import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import {
  type Cursor,
  formatCursor,
  type GapReason,
  parseCursor,
  type StreamRecord,
  type StreamRecordOf,
} from "../protocol/event_operations.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import type { EventFilter } from "../storage/journal/event_filter.ts";
import type { EventSource } from "./event_source.ts";
import { numberLines } from "./numbered_lines.ts";
import type { CloseReason, Feed } from "./subscription.ts";

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** The contents of a snapshot, without its position in the log. */
export type SnapshotState = Omit<StreamRecordOf<"stream.snapshot">, "type" | "cursor">;

export interface ResumeOptions {
  /** Selects events; all by default. */
  readonly filter?: EventFilter;
  /** Starts after this cursor; at the head by default. */
  readonly after?: Cursor;
  /** Sent as `stream.snapshot` before any event. Take it in the same synchronous block in which the feed is created. */
  readonly snapshot?: SnapshotState;
  /** The stream ends after this number of events. */
  readonly limit?: number;
}

export interface ResumableFeedOptions extends ResumeOptions {
  readonly source: EventSource;
  /** The cursor after the last event that was appended. */
  readonly head: () => Cursor;
  /** The last `seq` that a past epoch shares with the current one; undefined for an unknown epoch. */
  readonly lastSharedSeq: (epoch: string) => number | undefined;
  readonly clock: Clock;
}

export class ResumableFeed implements Feed {
  readonly isLeftBehind = false;
  readonly #options: ResumableFeedOptions;
  /** Sent before anything else. */
  readonly #records: Uint8Array<ArrayBuffer>[] = [];
  /** The rest of the piece that is being written. */
  #piece: Uint8Array<ArrayBuffer> = NOTHING;
  #epoch: string;
  /** Number of the last event that was returned, or skipped by the filter. */
  #seq: number;
  #eventsLeft: number;
  #isFinishing = false;
  #isHeartbeatDue = false;
  #end: CloseReason | undefined;
  #lastSentMs: number;

  constructor(options: ResumableFeedOptions) {
    this.#options = options;
    this.#eventsLeft = options.limit ?? Infinity;
    this.#lastSentMs = options.clock.now();
    const head = options.head();
    this.#epoch = head.epoch;
    const cursor = formatCursor(head);
    const oldest = formatCursor({ epoch: head.epoch, seq: options.source.oldestSeq - 1 });
    this.#add({ type: "stream.hello", protocol: PROTOCOL_VERSION, epoch: head.epoch, cursor, oldest });
    if (options.snapshot !== undefined) this.#add({ type: "stream.snapshot", ...options.snapshot, cursor });
    this.#seq = options.after === undefined ? head.seq : this.#resume(options.after, head);
  }

  get end(): CloseReason | undefined {
    return this.#end;
  }

  /** When the subscriber last took bytes, in milliseconds since the Unix epoch. */
  get lastSentMs(): number {
    return this.#lastSentMs;
  }

  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#piece.length === 0) {
      const piece = this.#nextPiece();
      if (piece === undefined) return undefined;
      this.#piece = piece;
    }
    return this.#piece.subarray(0, maxBytes);
  }

  advance(bytes: number): void {
    this.#piece = this.#piece.subarray(bytes);
    if (bytes > 0) this.#lastSentMs = this.#options.clock.now();
  }

  /** Sends a heartbeat, unless an event is sent first. */
  beat(): void {
    this.#isHeartbeatDue = true;
  }

  finish(): void {
    this.#isFinishing = true;
  }

  release(): void {
    this.#records.length = 0;
    this.#piece = NOTHING;
  }

  /** Empty when the filter skipped everything so far, and more events are to be scanned. */
  #nextPiece(): Uint8Array<ArrayBuffer> | undefined {
    const record = this.#records.shift();
    if (record !== undefined) return record;
    if (this.#end !== undefined) return undefined;
    if (this.#eventsLeft === 0) return this.#bye("limit");
    const head = this.#options.head();
    if (head.epoch !== this.#epoch) return this.#changeEpoch(head.epoch);
    return this.#nextEvents() ?? this.#whenCaughtUp(head);
  }

  #nextEvents(): Uint8Array<ArrayBuffer> | undefined {
    const { source, filter } = this.#options;
    const chunk = source.read(this.#seq, { filter, maxLines: this.#eventsLeft });
    if (chunk === undefined) return undefined;
    const from = this.#cursor;
    this.#seq = chunk.scannedTo;
    if (chunk.isMissing) return encodeRecord(this.#gap(from, "evicted"));
    if (chunk.lines.length === 0) return this.#seq >= source.newestSeq ? undefined : NOTHING;
    this.#eventsLeft -= chunk.lines.length;
    this.#isHeartbeatDue = false;
    return numberLines(chunk.lines);
  }

  #whenCaughtUp(head: Cursor): Uint8Array<ArrayBuffer> | undefined {
    if (this.#isFinishing && this.#seq >= head.seq) return this.#bye("shutdown");
    if (!this.#isHeartbeatDue) return undefined;
    this.#isHeartbeatDue = false;
    return encodeRecord({ type: "stream.heartbeat", cursor: formatCursor(this.#cursor) });
  }

  #bye(reason: "limit" | "shutdown"): Uint8Array<ArrayBuffer> {
    this.#end = "finished";
    return encodeRecord({ type: "stream.bye", reason });
  }

  /** Numbering continues in the new epoch. No event is missing that memory still has. */
  #changeEpoch(epoch: string): Uint8Array<ArrayBuffer> {
    const from = this.#cursor;
    this.#epoch = epoch;
    return encodeRecord(this.#gap(from, "epoch"));
  }

  /** Returns the `seq` to start after for a subscriber that has everything up to `after`, and reports the gap, if any. */
  #resume(after: Cursor, head: Cursor): number {
    const { source, lastSharedSeq } = this.#options;
    let reason: GapReason | undefined;
    let { seq } = after;
    if (after.epoch !== head.epoch) {
      reason = "epoch";
      const oldest = source.oldestSeq - 1;
      seq = Math.max(oldest, Math.min(seq, lastSharedSeq(after.epoch) ?? oldest));
    }
    if (seq > head.seq) {
      reason = "future";
      seq = head.seq;
    }
    this.#seq = seq;
    if (reason !== undefined) this.#add(this.#gap(after, reason));
    return seq;
  }

  get #cursor(): Cursor {
    return { epoch: this.#epoch, seq: this.#seq };
  }

  #gap(from: Cursor, reason: GapReason): StreamRecord {
    return { type: "stream.gap", from: formatCursor(from), to: formatCursor(this.#cursor), reason };
  }

  #add(record: StreamRecord): void {
    this.#records.push(encodeRecord(record));
  }
}

function encodeRecord(record: StreamRecord): Uint8Array<ArrayBuffer> {
  // Not shared memory, but the types of Deno 2.4 do not say so.
  return encoder.encode(`${JSON.stringify(record)}\n`) as Uint8Array<ArrayBuffer>;
}

/**
 * Parses the cursor that a subscriber asks to resume after.
 *
 * @throws {ApexError} `usage` for an invalid cursor
 */
export function resumeCursor(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor !== undefined) return cursor;
  throw new ApexError(
    "usage",
    `invalid cursor ${JSON.stringify(text)}: expected 16 hex digits, a colon and a number, for example ` +
      "0123456789abcdef:42 (apex events --seq prints cursors)",
  );
}

/** Calls `send` when the feed has sent nothing for `everyMs`. A subscriber that does not read has one heartbeat waiting at most. */
export class Heartbeat implements Disposable {
  readonly #options: { feed: ResumableFeed; clock: Clock; everyMs: number; send: () => void };
  #cancel: () => void;

  constructor(options: { feed: ResumableFeed; clock: Clock; everyMs: number; send: () => void }) {
    this.#options = options;
    this.#cancel = options.clock.after(options.everyMs, this.#check);
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  readonly #check = (): void => {
    const { feed, clock, everyMs, send } = this.#options;
    const quietMs = clock.now() - feed.lastSentMs;
    const isDue = quietMs >= everyMs;
    // The minimum matters when the clock was set back: the wait must not become longer.
    this.#cancel = clock.after(isDue ? everyMs : Math.min(everyMs, everyMs - quietMs), this.#check);
    if (!isDue) return;
    feed.beat();
    send();
  };
}
