import { green, red } from "@std/fmt/colors";
import { request } from "../client/request.ts";
import { formatByteSize } from "../platform/byte_size.ts";
import { formatDuration } from "../platform/durations.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { StatusResult } from "../protocol/control.ts";
import type { CliContext } from "./cli_context.ts";
import { formatTable, printable } from "./table.ts";

export interface StatusOptions {
  readonly sockets: SocketPaths;
  readonly json: boolean;
}

/** `apex status`: how the daemon is. */
export async function status(context: CliContext, { sockets, json }: StatusOptions): Promise<void> {
  const { stdout } = context;
  const result = await request(sockets.controlSocket, "status", {});
  await stdout.print(
    json ? JSON.stringify(result, null, 2) : formatTable(rows(result, stdout.colors)).join("\n"),
  );
}

function rows(status: StatusResult, colors: boolean): string[][] {
  const { engine, log, tasks, storage, journal } = status;
  const dropped = status.subscribersDropped > 0 ? `, ${status.subscribersDropped} dropped as too slow` : "";
  const kept = log.head === 0 ? "none kept" : `${log.oldest} to ${log.head} kept in memory`;
  return [
    ["daemon", `apex ${printable(status.version)}, pid ${status.pid}, up ${formatDuration(status.uptimeMs)}`],
    ["engine", engineLine(engine, colors)],
    ["", `${printable(engine.socket)} (from ${printable(engine.source)})`],
    ["sockets", printable(status.sockets.control)],
    ["", printable(status.sockets.events)],
    ...(tasks === undefined ? [] : [["tasks", `${tasks.running} running, ${tasks.pending} pending`]]),
    ...(storage === undefined ? [] : [["storage", storageLine(storage, colors)]]),
    ...(journal === undefined ? [] : [["journal", journalLine(journal, { head: log.head, colors })]]),
    ["subscribers", `${status.subscribers}${dropped}`],
    ["events", `${status.eventsPublished} published, ${kept} (${formatByteSize(log.bytes)})`],
  ];
}

function engineLine({ kind, version, state, error }: StatusResult["engine"], colors: boolean): string {
  const name = kind === undefined ? "not known yet" : `${kind} ${version ?? ""}`.trimEnd();
  const paint = !colors ? (text: string) => text : state === "connected" ? green : red;
  const why = error === undefined || state === "connected" ? "" : `: ${error}`;
  return `${printable(name)}, ${paint(state)}${printable(why)}`;
}

function storageLine(
  { state, error }: NonNullable<StatusResult["storage"]>,
  colors: boolean,
): string {
  const why = error === undefined ? "" : `: ${printable(error)}`;
  if (state === "ok") return `${state}${why}`;
  return `${colors ? red(state) : state}${why}; a restart of the daemon forgets what happens now`;
}

function journalLine(
  { state, error, oldest, bytes }: NonNullable<StatusResult["journal"]>,
  { head, colors }: { readonly head: number; readonly colors: boolean },
): string {
  if (state === "off") return "off: no history, and no resuming after a restart";
  if (state === "degraded") {
    const why = error === undefined ? "" : `: ${printable(error)}`;
    return `${colors ? red(state) : state}${why}; events are kept in memory only`;
  }
  const kept = oldest > head ? "no events yet" : `events ${oldest} to ${head}`;
  return `${state}, ${kept} (${formatByteSize(bytes)})`;
}
