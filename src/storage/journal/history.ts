import { ApexError } from "../../platform/apex_error.ts";
import type { EventFilter } from "./event_filter.ts";
import type { EventJournal, SeqRange } from "./event_journal.ts";
import type { StoredEvent } from "./event_rows.ts";

/** Read in one turn of the event loop: about 1 ms. */
const CHUNK = { maxRows: 512, maxBytes: 256 * 1024 };

export interface HistoryOptions {
  /** Selects events; all by default. */
  readonly filter?: EventFilter;
  /** Only events published then or later, in milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** Only events published before then. */
  readonly untilMs?: number;
  /** Only this number of the newest events; all by default. */
  readonly limit?: number;
  readonly abort?: AbortSignal;
}

/** An event, or numbers of events that are missing: they could not be written, or were deleted. */
export type Past = StoredEvent | SeqRange;

export function isEvent(past: Past): past is StoredEvent {
  return "line" in past;
}

/**
 * Iterates over past events, oldest first, up to the newest one at the first step. It reads a few events at a time and lets
 * the event loop run in between. With a limit it first reads backwards to find the oldest event of the result.
 *
 * @throws {ApexError} `failed` when the journal cannot be read
 */
export async function* history(journal: EventJournal, options: HistoryOptions = {}): AsyncGenerator<Past> {
  const { filter, sinceMs, untilMs, limit, abort } = options;
  const endSeq = Math.min(
    journal.headSeq + 1,
    untilMs === undefined ? Infinity : journal.firstSeqAt(untilMs),
  );
  let afterSeq = sinceMs === undefined ? 0 : journal.seqBefore(sinceMs);
  // Deleted events are not reported as missing when the caller gave no start.
  let scannedTo = sinceMs === undefined ? undefined : afterSeq;
  if (limit !== undefined) {
    const first = await oldestOfNewest(journal, { ...options, limit });
    if (first !== undefined) scannedTo = afterSeq = first - 1;
    else if (sinceMs === undefined) afterSeq = endSeq - 1;
  }
  const taskId = filter?.taskId;
  // Reported also when it is right before the oldest event of the result.
  const hole = journal.lastHole;
  /** The rows of one task have gaps between their numbers, so for a task only the last hole is known. */
  const missingBefore = (seq: number): SeqRange | undefined => {
    const first = (scannedTo ?? (hole?.last === seq - 1 ? hole.first : seq) - 1) + 1;
    if (taskId === undefined) return first < seq ? { first, last: seq - 1 } : undefined;
    return hole !== undefined && first <= hole.first && hole.last < seq ? hole : undefined;
  };
  while (true) {
    abort?.throwIfAborted();
    const events = readable(journal.read({ afterSeq, ...CHUNK, taskId }));
    for (const event of events) {
      if (event.seq >= endSeq) return;
      const missing = missingBefore(event.seq);
      if (missing !== undefined) yield missing;
      scannedTo = event.seq;
      if (filter === undefined || filter.matches(event)) yield event;
    }
    const last = events.at(-1);
    if (last === undefined) break;
    afterSeq = last.seq;
    await nextTurn();
  }
  // The newest events could not be written.
  if (hole !== undefined && hole.last === endSeq - 1 && hole.first > (scannedTo ?? 0)) yield hole;
}

/** The `seq` of the oldest of the newest `limit` events; undefined when no event matches. */
async function oldestOfNewest(
  journal: EventJournal,
  { filter, sinceMs, untilMs, limit, abort }: HistoryOptions & { readonly limit: number },
): Promise<number | undefined> {
  const firstSeq = sinceMs === undefined ? 0 : journal.firstSeqAt(sinceMs);
  let beforeSeq = untilMs === undefined ? Infinity : journal.firstSeqAt(untilMs);
  let oldest: number | undefined;
  for (let left = limit; left > 0;) {
    abort?.throwIfAborted();
    const events = readable(journal.read({ beforeSeq, ...CHUNK, taskId: filter?.taskId }));
    if (events.length === 0) break;
    for (const { seq } of events.filter((event) => filter === undefined || filter.matches(event))) {
      if (seq < firstSeq || left === 0) return oldest;
      left--;
      oldest = seq;
    }
    beforeSeq = events.at(-1)!.seq;
    if (beforeSeq < firstSeq) break;
    await nextTurn();
  }
  return oldest;
}

function readable(events: StoredEvent[] | undefined): StoredEvent[] {
  if (events !== undefined) return events;
  throw new ApexError("failed", "the journal cannot be read (see: apex status)");
}

/** Not `setImmediate`: Deno does not poll connections in each turn while immediates are pending, so they would wait to the end. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, 0));
}
