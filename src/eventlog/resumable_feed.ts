/**
 * The extended stream: events with their numbers, and between them records that say where the stream stands and what is
 * missing from it. Its position is a number, so it holds on to nothing of the log: it reads from memory where that still
 * has the next event, else from the journal, and only where that has moved on, too, it tells of a gap. It is never in a
 * hurry and never left behind.
 *
 * It holds one piece of at most 64 KiB (or of one line), and the snapshot until that is taken.
 */
import { ApexError } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import { type Cursor, formatCursor, parseCursor } from "../protocol/cursor.ts";
import type { GapReason, StreamRecord, StreamRecordOf } from "../protocol/stream_record.ts";
import { PROTOCOL_VERSION } from "../protocol/version.ts";
import type { EventFilter } from "../storage/journal/event_filter.ts";
import type { EventSource } from "./event_source.ts";
import { numberLines } from "./numbered_lines.ts";
import type { CloseReason, Feed } from "./subscription.ts";

const NOTHING = new Uint8Array(0);
const encoder = new TextEncoder();

/** What a snapshot says, beside where it stands in the log. */
export type SnapshotState = Omit<StreamRecordOf<"stream.snapshot">, "type" | "cursor">;

export interface ResumableFeedOptions {
  readonly source: EventSource;
  /** Where the log stands: after the last event that was appended. */
  readonly head: () => Cursor;
  /** The last number that an epoch of the past and this one share; undefined for an unknown one. */
  readonly lastSharedSeq: (epoch: string) => number | undefined;
  readonly filter: EventFilter | undefined;
  /** At the head when absent. */
  readonly after: Cursor | undefined;
  readonly snapshot: SnapshotState | undefined;
  /** Events, then it ends. */
  readonly limit: number | undefined;
  readonly clock: Clock;
}

export class ResumableFeed implements Feed {
  readonly isLeftBehind = false;
  readonly #options: ResumableFeedOptions;
  /** Written before anything else. */
  readonly #records: Uint8Array<ArrayBuffer>[] = [];
  /** What is left of the piece that is being written. */
  #piece: Uint8Array<ArrayBuffer> = NOTHING;
  #epoch: string;
  /** Number of the last event that was given, or looked at and left out. */
  #seq: number;
  #left: number;
  #isFinishing = false;
  #isHeartbeatDue = false;
  #end: CloseReason | undefined;
  #lastSentMs: number;

  constructor(options: ResumableFeedOptions) {
    this.#options = options;
    this.#left = options.limit ?? Infinity;
    this.#lastSentMs = options.clock.now();
    const head = options.head();
    this.#epoch = head.epoch;
    const cursor = formatCursor(head);
    const oldest = formatCursor({ epoch: head.epoch, seq: options.source.oldestSeq - 1 });
    this.#tell({ type: "stream.hello", protocol: PROTOCOL_VERSION, epoch: head.epoch, cursor, oldest });
    if (options.snapshot !== undefined) this.#tell({ type: "stream.snapshot", ...options.snapshot, cursor });
    this.#seq = options.after === undefined ? head.seq : this.#place(options.after, head);
  }

  get end(): CloseReason | undefined {
    return this.#end;
  }

  /** When it last had something taken, in milliseconds since the Unix epoch. */
  get lastSentMs(): number {
    return this.#lastSentMs;
  }

  next(maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
    if (this.#piece.length > 0) return this.#piece.subarray(0, maxBytes);
    const piece = this.#nextPiece();
    if (piece === undefined) return undefined;
    this.#piece = piece;
    return piece.subarray(0, maxBytes);
  }

  advance(bytes: number): void {
    this.#piece = this.#piece.subarray(bytes);
    if (bytes > 0) this.#lastSentMs = this.#options.clock.now();
  }

  /** A heartbeat is to be sent, unless there is something else. */
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

  /** Empty: nothing yet, but more is to be looked at. */
  #nextPiece(): Uint8Array<ArrayBuffer> | undefined {
    const record = this.#records.shift();
    if (record !== undefined) return record;
    if (this.#end !== undefined) return undefined;
    if (this.#left === 0) return this.#bye("limit");
    const head = this.#options.head();
    if (head.epoch !== this.#epoch) return this.#changeEpoch(head.epoch);
    return this.#nextEvents() ?? this.#whenCaughtUp(head);
  }

  #nextEvents(): Uint8Array<ArrayBuffer> | undefined {
    const { source, filter } = this.#options;
    const chunk = source.read(this.#seq, { filter, maxLines: this.#left });
    if (chunk === undefined) return undefined;
    const from = this.#cursor;
    this.#seq = chunk.scannedTo;
    if (chunk.isMissing) return encodeRecord(this.#gap(from, "evicted"));
    if (chunk.lines.length === 0) return this.#seq >= source.newestSeq ? undefined : NOTHING;
    this.#left -= chunk.lines.length;
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

  /** The numbers go on; what is to come is in another epoch. Nothing is missing that memory still has. */
  #changeEpoch(epoch: string): Uint8Array<ArrayBuffer> {
    const from = this.#cursor;
    this.#epoch = epoch;
    return encodeRecord(this.#gap(from, "epoch"));
  }

  /** Where to begin for one that has everything up to `after`; tells of the gap that there is then. */
  #place(after: Cursor, head: Cursor): number {
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
    if (reason !== undefined) this.#tell(this.#gap(after, reason));
    return seq;
  }

  get #cursor(): Cursor {
    return { epoch: this.#epoch, seq: this.#seq };
  }

  #gap(from: Cursor, reason: GapReason): StreamRecord {
    return { type: "stream.gap", from: formatCursor(from), to: formatCursor(this.#cursor), reason };
  }

  #tell(record: StreamRecord): void {
    this.#records.push(encodeRecord(record));
  }
}

function encodeRecord(record: StreamRecord): Uint8Array<ArrayBuffer> {
  // Never shared memory; the types of Deno 2.4 do not say so.
  return encoder.encode(`${JSON.stringify(record)}\n`) as Uint8Array<ArrayBuffer>;
}

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly everyMs: number;
  /** When something was last sent, in milliseconds since the Unix epoch. */
  readonly lastSentMs: () => number;
  readonly beat: () => void;
}

/** Beats whenever nothing was sent for a while. Not one that does not take what it was sent: it has one waiting. */
export class Heartbeat implements Disposable {
  readonly #options: HeartbeatOptions;
  #cancel: () => void;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#cancel = options.clock.after(options.everyMs, this.#look);
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }

  readonly #look = (): void => {
    const { clock, everyMs, lastSentMs, beat } = this.#options;
    const quietMs = clock.now() - lastSentMs();
    const isDue = quietMs >= everyMs;
    // A clock that was set back must not make it wait for longer.
    this.#cancel = clock.after(isDue ? everyMs : Math.min(everyMs, everyMs - quietMs), this.#look);
    if (isDue) beat();
  };
}

/**
 * The cursor that a subscriber asks to resume after.
 *
 * @throws {ApexError} `usage` for what is none
 */
export function resumeCursor(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor !== undefined) return cursor;
  throw new ApexError(
    "usage",
    `invalid cursor ${JSON.stringify(text)}: expected 16 hex digits, a colon and a number, such as ` +
      "0123456789abcdef:42 for example (apex events --seq shows them)",
  );
}
