import { setImmediate } from "node:timers";
import { ApexError } from "../platform/apex_error.ts";
import type { EventJournal } from "./event_journal.ts";
import { history, type HistoryOptions } from "./history.ts";
import type { StoredEvent } from "./stored_event.ts";

/** Read between two turns of the event loop: 1 ms or so. */
const CHUNK = { maxRows: 512, maxBytes: 256 * 1024 };

/** `limit`: only the newest so many; all by default. */
export type HistoryInOrderOptions = Omit<HistoryOptions, "limit"> & { readonly limit?: number };

/**
 * What was told in the past, the oldest first, up to what is the newest at the first step. It holds a few events at a time,
 * however many there are: where it is limited, it counts back first.
 *
 * @throws {ApexError} `failed` when the journal cannot be read
 */
export async function* historyInOrder(
  journal: EventJournal,
  { limit, ...options }: HistoryInOrderOptions,
): AsyncGenerator<StoredEvent> {
  const { filter, sinceMs, untilMs, signal } = options;
  const endSeq = Math.min(
    journal.headSeq + 1,
    untilMs === undefined ? Infinity : journal.firstSeqAt(untilMs),
  );
  let afterSeq = sinceMs === undefined ? 0 : journal.firstSeqAt(sinceMs) - 1;
  if (limit !== undefined) {
    const first = await oldestOf(journal, { ...options, limit });
    if (first === undefined) return;
    afterSeq = first - 1;
  }
  while (true) {
    signal?.throwIfAborted();
    const events = journal.read({ afterSeq, ...CHUNK, taskId: filter?.taskId });
    if (events === undefined) throw new ApexError("failed", "the journal cannot be read (see: apex status)");
    for (const event of events) {
      if (event.seq >= endSeq) return;
      if (filter === undefined || filter.matches(event)) yield event;
    }
    const last = events.at(-1);
    if (last === undefined) return;
    afterSeq = last.seq;
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}

async function oldestOf(journal: EventJournal, options: HistoryOptions): Promise<number | undefined> {
  let oldest: number | undefined;
  for await (const { seq } of history(journal, options)) oldest = seq;
  return oldest;
}
