/**
 * Reads events by number: the newest from the log's memory, older ones from the journal. Events may be missing between the
 * two, and before the journal's oldest.
 */
import type { EventFilter } from "../storage/journal/event_filter.ts";
import type { EventJournal } from "../storage/journal/event_journal.ts";
import type { NumberedLine } from "./numbered_lines.ts";
import type { SegmentList } from "./segment_list.ts";

/** Bytes of events in one chunk, unless a single event is larger. */
const MAX_CHUNK_BYTES = 64 * 1024;
/** Lines scanned in memory before other subscribers run: half a millisecond. */
const MAX_SCANNED_LINES = 4_096;
/** Rows read from the journal before other subscribers run. */
const MAX_ROWS = 512;

export interface EventChunk {
  readonly lines: readonly NumberedLine[];
  /** Every event up to this number was scanned. */
  readonly scannedTo: number;
  /** The events after the requested number, up to {@linkcode EventChunk.scannedTo}, no longer exist. */
  readonly isMissing: boolean;
}

type ReadOptions = { readonly filter: EventFilter | undefined; readonly maxLines: number };

export class EventSource {
  readonly #segments: SegmentList;
  readonly #journal: EventJournal;

  constructor({ segments, journal }: { segments: SegmentList; journal: EventJournal }) {
    this.#segments = segments;
    this.#journal = journal;
  }

  /** `seq` of the oldest event that exists; one past the newest when none does. */
  get oldestSeq(): number {
    return this.#oldestAfter(0);
  }

  /** `seq` of the newest published event. */
  get newestSeq(): number {
    return this.#segments.publishedSeq;
  }

  /** The next chunk of the published events after `seq`; undefined when `seq` is the newest. */
  read(seq: number, options: ReadOptions): EventChunk | undefined {
    if (seq >= this.#segments.publishedSeq) return undefined;
    if (seq + 1 >= this.#segments.oldest.firstSeq) return this.#readMemory(seq, options);
    const chunk = this.#journal.covers(seq + 1) ? readJournal(this.#journal, seq, options) : undefined;
    return chunk ?? { lines: [], scannedTo: this.#oldestAfter(seq + 1) - 1, isMissing: true };
  }

  #readMemory(seq: number, { filter, maxLines }: ReadOptions): EventChunk {
    const lines: NumberedLine[] = [];
    let bytes = 0;
    let scannedTo = seq;
    for (const line of this.#segments.publishedAfter(seq)) {
      if (filter === undefined || filter.matches(line)) {
        bytes += line.bytes.length;
        if (bytes > MAX_CHUNK_BYTES && lines.length > 0) break;
        lines.push({ seq: line.seq, json: line.bytes.subarray(0, -1) });
      }
      scannedTo = line.seq;
      if (lines.length === maxLines || scannedTo - seq === MAX_SCANNED_LINES) break;
    }
    return { lines, scannedTo, isMissing: false };
  }

  /** `seq` of the oldest event in memory, or of the journal's oldest when that is after `seq`. */
  #oldestAfter(seq: number): number {
    const inMemory = this.#segments.oldest.firstSeq;
    const { oldestSeq, newestSeq } = this.#journal.status;
    return oldestSeq > seq && oldestSeq <= newestSeq ? Math.min(oldestSeq, inMemory) : inMemory;
  }
}

/** Undefined when the journal cannot be read. */
function readJournal(
  journal: EventJournal,
  seq: number,
  { filter, maxLines }: ReadOptions,
): EventChunk | undefined {
  const { newestSeq } = journal.status;
  const taskId = filter?.taskId;
  const events = journal.read({ afterSeq: seq, maxRows: MAX_ROWS, maxBytes: MAX_CHUNK_BYTES, taskId });
  if (events === undefined) return undefined;
  const lines: NumberedLine[] = [];
  // No events: the journal has no more of that task.
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
