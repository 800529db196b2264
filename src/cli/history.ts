import { openLines } from "../client/line_stream.ts";
import { streamLines } from "../client/stream_lines.ts";
import { ApexError } from "../platform/apex_error.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { CliContext } from "./cli_context.ts";
import { type FilterFlags, filterParams, limitOf } from "./event_flags.ts";
import { HISTORY_HEADINGS, historyRow, pastEvent } from "./history_row.ts";
import { pointInTime } from "./point_in_time.ts";
import { formatTable } from "./table.ts";
import { tellOfUnknownTypes } from "./tell_of_unknown_types.ts";

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
  if (json) return await read(sockets, { params, take: (lines) => stdout.write(lines) });
  const rows: string[][] = [];
  const decoder = new TextDecoder();
  let events = 0;
  await read(sockets, {
    params,
    take(lines) {
      const past = decoder.decode(lines).trimEnd().split("\n").map(pastEvent);
      for (const event of past) rows.push(historyRow(event, stdout.colors));
      events += past.filter(({ type }) => type !== "stream.gap").length;
      return Promise.resolve();
    },
  });
  await stdout.print(formatTable([HISTORY_HEADINGS, ...rows]).join("\n"));
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

interface ReadOptions {
  readonly params: Parameters<typeof openLines<"events.history">>[2];
  /** Gets one or more whole lines: of events, and of gaps between them. */
  readonly take: (lines: Uint8Array) => Promise<void>;
}

async function read({ controlSocket }: SocketPaths, { params, take }: ReadOptions): Promise<void> {
  using stream = await openLines(controlSocket, "events.history", params);
  for (let piece = await stream.next(); piece !== null; piece = await stream.next()) {
    let length = 0;
    let bye: string | undefined;
    for (const line of streamLines(piece)) {
      // The bye is the last line.
      if (line.seq === undefined && line.record?.type === "stream.bye") bye = line.record.reason;
      const bytes = line.seq === undefined ? line.line : line.rest;
      if (bye === undefined) length = bytes.byteOffset + bytes.length - piece.byteOffset;
    }
    if (length > 0) await take(piece.subarray(0, length));
    if (bye === "end") return;
    if (bye !== undefined) break;
  }
  throw new ApexError(
    "stream_cut",
    "the history broke off: the daemon went away, or cannot read its journal",
  );
}
