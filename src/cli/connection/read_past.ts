import { openLines } from "../../client/line_stream.ts";
import { streamLines } from "../../client/stream_lines.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";

export interface ReadPastOptions {
  readonly params: Parameters<typeof openLines<"events.history">>[2];
  /** Gets one or more whole lines: of events, and of gaps between them. */
  readonly take: (lines: Uint8Array) => Promise<void> | void;
}

/**
 * Asks for events of the past, the oldest first.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `stream_cut` when they broke off
 */
export async function readPast(
  { controlSocket }: SocketPaths,
  { params, take }: ReadPastOptions,
): Promise<void> {
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
