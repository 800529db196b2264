import { green, red } from "@std/fmt/colors";
import { type DaemonStatus, daemonStatus, versionSkew } from "../../client/daemon_status.ts";
import { formatByteSize } from "../../platform/byte_size.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { formatDuration } from "../../platform/durations.ts";
import type { StatusResult } from "../../protocol/control.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import type { CliContext } from "../cli_context.ts";
import { formatTable, printable } from "../output/table.ts";

export interface StatusOptions {
  readonly sockets: SocketPaths;
  readonly json: boolean;
}

/** `apex status`: the state of the daemon, which may be of another version than this client. */
export async function status(context: CliContext, { sockets, json }: StatusOptions): Promise<void> {
  const { stdout, stderr } = context;
  const result = await daemonStatus(sockets.controlSocket);
  const client = { version: VERSION, protocol: PROTOCOL_VERSION };
  if (json) await stdout.print(JSON.stringify({ ...result, client }, null, 2));
  else await printRows(context, [...briefRows(result, stdout.colors), ...furtherRows(result, stdout.colors)]);
  const skew = versionSkew(result);
  if (skew !== undefined) await stderr.print(`apex: ${printable(skew)}`);
}

/** Which daemon it is, which engine it follows, and where its log is. */
export async function printBriefStatus(context: CliContext, status: DaemonStatus): Promise<void> {
  await printRows(context, briefRows(status, context.stdout.colors));
}

async function printRows({ stdout }: CliContext, rows: string[][]): Promise<void> {
  await stdout.print(formatTable(rows).join("\n"));
}

function briefRows({ version, pid, uptimeMs, engine, paths }: DaemonStatus, colors: boolean): string[][] {
  const up = uptimeMs === undefined ? "" : `, up ${formatDuration(uptimeMs)}`;
  return [
    ["daemon", `apex ${printable(version)}, pid ${pid}${up}`],
    ...(engine === undefined ? [] : [
      ["engine", engineLine(engine, colors)],
      ["", `${printable(engine.socket)} (from ${printable(engine.source)})`],
    ]),
    ...(paths === undefined
      ? []
      : [["log", paths.log === undefined ? "standard error" : printable(paths.log)]]),
  ];
}

function furtherRows(status: DaemonStatus, colors: boolean): string[][] {
  const { instance, sockets, paths, tasks, sessions, storage, journal, log } = status;
  return [
    ["client", `apex ${VERSION}`],
    ...(instance === undefined ? [] : [["instance", printable(instance)]]),
    ...(paths === undefined ? [] : [["state", printable(paths.state)], ["config", printable(paths.config)]]),
    ...(sockets === undefined
      ? []
      : [["sockets", printable(sockets.control)], ["", printable(sockets.events)]]),
    ...(tasks === undefined ? [] : [["tasks", `${tasks.running} running, ${tasks.pending} pending`]]),
    ...(sessions === undefined
      ? []
      : [["sessions", `${sessions.attached} attached, ${sessions.detached} detached`]]),
    ...(storage === undefined ? [] : [["storage", storageLine(storage, colors)]]),
    ...(journal === undefined ? [] : [["journal", journalLine(journal, { head: log?.head ?? 0, colors })]]),
    ...eventRows(status),
  ];
}

function eventRows({ subscribers, subscribersDropped = 0, eventsPublished, log }: DaemonStatus): string[][] {
  const dropped = subscribersDropped > 0 ? `, ${subscribersDropped} dropped as too slow` : "";
  const rows = subscribers === undefined ? [] : [["subscribers", `${subscribers}${dropped}`]];
  if (log === undefined || eventsPublished === undefined) return rows;
  const kept = log.head === 0 ? "none kept" : `${log.oldest} to ${log.head} kept in memory`;
  return [...rows, ["events", `${eventsPublished} published, ${kept} (${formatByteSize(log.bytes)})`]];
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
