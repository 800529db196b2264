import { ApexError } from "../../platform/apex_error.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { type FilterFlags, filterParams, warnOfUnknownTypes } from "../args/event_flags.ts";
import { limitOf, pointInTime, type SwitchFlags, type TextFlags } from "../args/flag_values.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { containerNames, readPast } from "../connection/past_events.ts";
import { HISTORY_HEADINGS, historyRow, type PastEvent, pastEvents } from "../output/history_row.ts";
import { formatTable } from "../output/table.ts";

export interface HistoryFlags
  extends FilterFlags, TextFlags<"since" | "until" | "limit">, SwitchFlags<"json"> {}

/** Few people read a longer table. */
const DEFAULT_ROWS = 100;

/**
 * `apex history`: prints events of the past, oldest first.
 *
 * @throws {ApexError} `usage`, `no_daemon`; `failed` if the daemon keeps no journal; `stream_cut` if the history is
 * incomplete; `protocol` for an invalid line
 */
export async function history(
  context: CliContext,
  { sockets, flags }: VerbOptions & { readonly flags: HistoryFlags },
): Promise<void> {
  const { stdout, stderr, now } = context;
  const { json = false } = flags;
  const given = flags.limit === undefined ? undefined : limitOf(flags.limit);
  const limit = given ?? (json ? undefined : DEFAULT_ROWS);
  const params = {
    ...filterParams(flags),
    ...rangeOf(flags, now()),
    ...(limit !== undefined && { limit }),
  };
  await warnOfUnknownTypes(flags, context);
  if (json) return await readPast(sockets, { params, take: (lines) => stdout.write(lines) });
  const past: PastEvent[] = [];
  await readPast(sockets, { params, take: (lines) => void past.push(...pastEvents(lines)) });
  const names = await containerNames(past, sockets);
  const rows = past.map((event) => historyRow(event, { names, colors: stdout.colors }));
  await stdout.print(formatTable([HISTORY_HEADINGS, ...rows]).join("\n"));
  const events = past.filter(({ type }) => type !== "stream.gap").length;
  if (events === 0) await stderr.print("apex: no events match");
  if (given === undefined && events === DEFAULT_ROWS) {
    await stderr.print(
      `apex: showing the newest ${DEFAULT_ROWS} events; there may be more (see: --limit, --since, --json)`,
    );
  }
}

/** @throws {ApexError} `usage` for an invalid time, and for a range that ends before it starts */
function rangeOf({ since, until }: HistoryFlags, nowMs: number): { sinceMs?: number; untilMs?: number } {
  const sinceMs = since === undefined ? undefined : pointInTime("--since", since, nowMs);
  const untilMs = until === undefined ? undefined : pointInTime("--until", until, nowMs);
  if (sinceMs !== undefined && untilMs !== undefined && sinceMs > untilMs) {
    const [from, to] = [sinceMs, untilMs].map((ms) => new Date(ms).toISOString());
    throw new ApexError(
      "usage",
      `--since ${JSON.stringify(since)} (${from}) is later than --until ${
        JSON.stringify(until)
      } (${to}); swap them`,
    );
  }
  return definedFields({ sinceMs, untilMs });
}
