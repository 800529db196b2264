import { ApexError } from "../../platform/apex_error.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { type FilterFlags, filterParams, limitOf } from "../args/event_flags.ts";
import { pointInTime } from "../args/point_in_time.ts";
import type { CliContext } from "../cli_context.ts";
import { containerNames } from "../connection/container_names.ts";
import { readPast } from "../connection/read_past.ts";
import { tellOfUnknownTypes } from "../connection/tell_of_unknown_types.ts";
import { HISTORY_HEADINGS, historyRow, type PastEvent, pastEvents } from "../output/history_row.ts";
import { formatTable } from "../output/table.ts";

export interface HistoryFlags extends FilterFlags {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit?: string | undefined;
  readonly json?: true | undefined;
}

export interface HistoryOptions {
  readonly sockets: SocketPaths;
  readonly flags: HistoryFlags;
}

/** A table that is longer is not read. */
const DEFAULT_ROWS = 100;

/**
 * `apex history`: events of the past, oldest first.
 *
 * @throws {ApexError} `usage`, `no_daemon`; `failed` when there is no journal; `stream_cut` when the daemon went away;
 * `protocol` for a line that makes no sense.
 */
export async function history(context: CliContext, { sockets, flags }: HistoryOptions): Promise<void> {
  const { stdout, stderr, now } = context;
  const { json = false } = flags;
  const given = flags.limit === undefined ? undefined : limitOf(flags.limit);
  const limit = given ?? (json ? undefined : DEFAULT_ROWS);
  const params = {
    ...filterParams(flags),
    ...rangeOf(flags, now()),
    ...(limit !== undefined && { limit }),
  };
  await tellOfUnknownTypes(flags, context);
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
      `apex: these are the newest ${DEFAULT_ROWS}; there may be more (see --limit, --since, --json)`,
    );
  }
}

/** @throws {ApexError} `usage` for a time that is none, and for a range that ends before it begins */
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
