import { setImmediate } from "node:timers";
import { ApexError } from "../../platform/apex_error.ts";
import type { EventFilter } from "./event_filter.ts";
import type { EventJournal, SeqRange } from "./event_journal.ts";
import { StoredEvent } from "./event_rows.ts";

/** Read between two turns of the event loop: 1 ms or so. */
const CHUNK = { maxRows: 512, maxBytes: 256 * 1024 };

export interface HistoryOptions {
  /** Which events; all by default. */
  readonly filter?: EventFilter;
  /** Published then or later, in milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** Published before then. */
  readonly untilMs?: number;
  /** How many at most. */
  readonly limit: number;
  readonly signal?: AbortSignal;
}

/**
 * What was told in the past, the newest first. It reads a little at a time and holds up nobody; to stop early, leave the
 * loop or abort `signal`.
 *
 * @throws {ApexError} `failed` when the journal cannot be read
 */
export async function* history(
  journal: EventJournal,
  { filter, sinceMs, untilMs, limit, signal }: HistoryOptions,
): AsyncGenerator<StoredEvent> {
  const firstSeq = sinceMs === undefined ? 0 : journal.firstSeqAt(sinceMs);
  let beforeSeq = untilMs === undefined ? Infinity : journal.firstSeqAt(untilMs);
  let left = limit;
  while (left > 0) {
    signal?.throwIfAborted();
    const events = journal.readBack({ beforeSeq, ...CHUNK, taskId: filter?.taskId });
    if (events === undefined) throw unreadable();
    for (const event of events) {
      if (event.seq < firstSeq || left === 0) return;
      if (filter !== undefined && !filter.matches(event)) continue;
      left--;
      yield event;
    }
    if (events.length === 0) return;
    beforeSeq = events.at(-1)!.seq;
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}

export function unreadable(): ApexError {
  return new ApexError("failed", "the journal cannot be read (see: apex status)");
}

/** `limit`: only the newest so many; all by default. */
export type HistoryInOrderOptions = Omit<HistoryOptions, "limit"> & { readonly limit?: number };

/** An event, or numbers of events that are missing: they could not be written, or are not kept any more. */
export type Past = StoredEvent | SeqRange;

/**
 * What was told in the past, the oldest first, up to what is the newest at the first step. It holds a few events at a time,
 * however many there are: where it is limited, it counts back first.
 *
 * @throws {ApexError} `failed` when the journal cannot be read
 */
export async function* historyInOrder(
  journal: EventJournal,
  { limit, ...options }: HistoryInOrderOptions,
): AsyncGenerator<Past> {
  const { filter, sinceMs, untilMs, signal } = options;
  const endSeq = Math.min(
    journal.headSeq + 1,
    untilMs === undefined ? Infinity : journal.firstSeqAt(untilMs),
  );
  let afterSeq = sinceMs === undefined ? 0 : journal.seqBefore(sinceMs);
  // What is too old is no part of a past that has no given beginning.
  let lookedTo = sinceMs === undefined ? undefined : afterSeq;
  if (limit !== undefined) {
    const first = await oldestOf(journal, { ...options, limit });
    if (first !== undefined) lookedTo = afterSeq = first - 1;
    else if (sinceMs === undefined) afterSeq = endSeq - 1;
  }
  const taskId = filter?.taskId;
  // A hole right before the oldest event is: what came before it may be lost, too.
  const hole = journal.lastHole;
  /** Of one task there are only its own numbers to see, so only the last hole is known. */
  const missingBefore = (seq: number): SeqRange | undefined => {
    const first = (lookedTo ?? (hole?.last === seq - 1 ? hole.first : seq) - 1) + 1;
    if (taskId === undefined) return first < seq ? { first, last: seq - 1 } : undefined;
    return hole !== undefined && first <= hole.first && hole.last < seq ? hole : undefined;
  };
  while (true) {
    signal?.throwIfAborted();
    const events = journal.read({ afterSeq, ...CHUNK, taskId });
    if (events === undefined) throw unreadable();
    for (const event of events) {
      if (event.seq >= endSeq) return;
      const missing = missingBefore(event.seq);
      if (missing !== undefined) yield missing;
      lookedTo = event.seq;
      if (filter === undefined || filter.matches(event)) yield event;
    }
    const last = events.at(-1);
    if (last === undefined) break;
    afterSeq = last.seq;
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  // What was told lately, and could not be written.
  if (hole !== undefined && hole.last === endSeq - 1 && hole.first > (lookedTo ?? 0)) yield hole;
}

/** Whether that is an event, and no hole. */
export function isEvent(past: Past): past is StoredEvent {
  return past instanceof StoredEvent;
}

async function oldestOf(journal: EventJournal, options: HistoryOptions): Promise<number | undefined> {
  let oldest: number | undefined;
  for await (const { seq } of history(journal, options)) oldest = seq;
  return oldest;
}
