import { setImmediate } from "node:timers";
import { ApexError } from "../../platform/apex_error.ts";
import type { EventFilter } from "./event_filter.ts";
import type { EventJournal } from "./event_journal.ts";
import type { StoredEvent } from "./stored_event.ts";

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
