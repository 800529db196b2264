/**
 * Where events are, by number: the newest in the log's memory, older ones in the journal. Between the two, and before the
 * journal's oldest, there may be none any more.
 */
import type { EventFilter } from "../storage/journal/event_filter.ts";
import type { EventJournal } from "../storage/journal/event_journal.ts";
import type { NumberedLine } from "./numbered_lines.ts";
import type { SegmentList } from "./segment_list.ts";

/** Bytes of events read at once, one event at least. */
const MAX_CHUNK_BYTES = 64 * 1024;
/** Lines looked at in memory before other subscribers have their turn: half a millisecond. */
const MAX_SCANNED_LINES = 4_096;
/** Rows read from the journal before other subscribers have their turn. */
const MAX_ROWS = 512;

export interface EventChunk {
  readonly lines: readonly NumberedLine[];
  /** Everything up to this number was looked at. */
  readonly scannedTo: number;
  /** Nothing is kept of what comes after the number asked for, up to {@linkcode EventChunk.scannedTo}. */
  readonly isMissing: boolean;
}

export interface ReadOptions {
  readonly filter: EventFilter | undefined;
  readonly maxLines: number;
}

export class EventSource {
  readonly #segments: SegmentList;
  readonly #journal: EventJournal | undefined;

  constructor({ segments, journal }: { segments: SegmentList; journal: EventJournal | undefined }) {
    this.#segments = segments;
    this.#journal = journal;
  }

  /** `seq` of the oldest event that is kept; one past the newest when there is none. */
  get oldestSeq(): number {
    return this.#keptAfter(0);
  }

  /** `seq` of the newest published event. */
  get newestSeq(): number {
    return this.#segments.publishedSeq;
  }

  /** The next of the published events after `seq`; undefined when there is none yet. */
  read(seq: number, options: ReadOptions): EventChunk | undefined {
    if (seq >= this.#segments.publishedSeq) return undefined;
    if (seq + 1 >= this.#segments.oldest.firstSeq) return this.#readMemory(seq, options);
    const chunk = this.#journal?.covers(seq + 1) ? this.#readJournal(seq, options) : undefined;
    return chunk ?? { lines: [], scannedTo: this.#keptAfter(seq + 1) - 1, isMissing: true };
  }

  #readMemory(seq: number, { filter, maxLines }: ReadOptions): EventChunk {
    const lines: NumberedLine[] = [];
    let bytes = 0;
    let scannedTo = seq;
    for (const line of this.#segments.publishedAfter(seq)) {
      const isWanted = filter === undefined || filter.matches(line);
      if (isWanted) {
        bytes += line.bytes.length;
        if (bytes > MAX_CHUNK_BYTES && lines.length > 0) break;
        lines.push({ seq: line.seq, json: line.bytes.subarray(0, -1) });
      }
      scannedTo = line.seq;
      if (lines.length === maxLines || scannedTo - seq === MAX_SCANNED_LINES) break;
    }
    return { lines, scannedTo, isMissing: false };
  }

  /** Undefined when the journal cannot be read. */
  #readJournal(seq: number, { filter, maxLines }: ReadOptions): EventChunk | undefined {
    const newestSeq = this.#journal!.status.newestSeq;
    const events = this.#journal!.read({
      afterSeq: seq,
      maxRows: MAX_ROWS,
      maxBytes: MAX_CHUNK_BYTES,
      taskId: filter?.taskId,
    });
    if (events === undefined) return undefined;
    const lines: NumberedLine[] = [];
    // None: none of that task.
    let scannedTo = events.at(-1)?.seq ?? newestSeq;
    for (const event of events) {
      if (filter !== undefined && !filter.matches(event)) continue;
      lines.push({ seq: event.seq, json: event.line });
      if (lines.length < maxLines) continue;
      scannedTo = event.seq;
      break;
    }
    return { lines, scannedTo, isMissing: false };
  }

  /** `seq` of the oldest event that is kept, but for those of the journal up to `seq`. */
  #keptAfter(seq: number): number {
    const inMemory = this.#segments.oldest.firstSeq;
    if (this.#journal === undefined) return inMemory;
    const { oldestSeq, newestSeq } = this.#journal.status;
    return oldestSeq > seq && oldestSeq <= newestSeq ? Math.min(oldestSeq, inMemory) : inMemory;
  }
}
