import { openLines } from "../client/line_stream.ts";
import { streamLines } from "../client/stream_lines.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { CliContext } from "./cli_context.ts";
import { type FilterFlags, filterParams, limitOf } from "./event_flags.ts";
import { HISTORY_HEADINGS, historyRow } from "./history_row.ts";
import { pointInTime } from "./point_in_time.ts";
import { formatTable } from "./table.ts";

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
 * @throws {ApexError} `usage`, `no_daemon`; `failed` when there is no journal; `stream_cut` when the daemon went away.
 */
export async function history(context: CliContext, { sockets, flags }: HistoryOptions): Promise<void> {
  const { stdout, stderr, now } = context;
  const { since, until, json = false } = flags;
  const given = flags.limit === undefined ? undefined : limitOf(flags.limit);
  const limit = given ?? (json ? undefined : DEFAULT_ROWS);
  const params = {
    ...filterParams(flags),
    ...(since !== undefined && { sinceMs: pointInTime("--since", since, now()) }),
    ...(until !== undefined && { untilMs: pointInTime("--until", until, now()) }),
    ...(limit !== undefined && { limit }),
  };
  if (json) return await read(sockets, { params, take: (lines) => stdout.write(lines) });
  const rows: string[][] = [];
  const decoder = new TextDecoder();
  await read(sockets, {
    params,
    take(lines) {
      const texts = decoder.decode(lines).trimEnd().split("\n");
      for (const text of texts) rows.push(historyRow(JSON.parse(text), stdout.colors));
      return Promise.resolve();
    },
  });
  await stdout.print(formatTable([HISTORY_HEADINGS, ...rows]).join("\n"));
  if (given === undefined && rows.length === DEFAULT_ROWS) {
    await stderr.print(
      `apex: these are the newest ${DEFAULT_ROWS}; there may be more (see --limit, --since, --json)`,
    );
  }
}

interface ReadOptions {
  readonly params: Parameters<typeof openLines<"events.history">>[2];
  /** Gets one or more whole lines of events. */
  readonly take: (lines: Uint8Array) => Promise<void>;
}

async function read({ controlSocket }: SocketPaths, { params, take }: ReadOptions): Promise<void> {
  using stream = await openLines(controlSocket, "events.history", params);
  for (let piece = await stream.next(); piece !== null; piece = await stream.next()) {
    let length = 0;
    let hasEnded = false;
    for (const line of streamLines(piece)) {
      // Records stand at the end only.
      if (line.seq === undefined) hasEnded ||= line.record?.type === "stream.bye";
      else length = line.rest.byteOffset + line.rest.length - piece.byteOffset;
    }
    if (length > 0) await take(piece.subarray(0, length));
    if (hasEnded) return;
  }
  throw new ApexError(
    "stream_cut",
    "the history broke off: the daemon went away, or cannot read its journal",
  );
}
