import { green, red } from "@std/fmt/colors";
import type { DaemonStatus } from "../../client/daemon_status.ts";
import { formatByteSize } from "../../platform/byte_size.ts";
import { formatDuration } from "../../platform/durations.ts";
import type { StatusResult } from "../../protocol/daemon_operations.ts";
import { VERSION } from "../../protocol/version.ts";
import type { Output } from "../standard_streams.ts";
import { formatTable, printable } from "./table.ts";

/** Prints the whole status. A daemon of another version may lack fields; their rows are left out. */
export async function printStatus(stdout: Output, status: DaemonStatus): Promise<void> {
  const rows = [...briefRows(status, stdout.colors), ...furtherRows(status, stdout.colors)];
  await stdout.print(formatTable(rows).join("\n"));
}

/** Prints which daemon it is, which engine it follows, and where it logs. */
export async function printBriefStatus(stdout: Output, status: DaemonStatus): Promise<void> {
  await stdout.print(formatTable(briefRows(status, stdout.colors)).join("\n"));
}

/** The rows for `value`, or none if the daemon does not report it. */
function rowsFor<T>(value: T | undefined, rows: (value: T) => string[][]): string[][] {
  return value === undefined ? [] : rows(value);
}

function briefRows({ version, pid, uptimeMs, engine, paths }: DaemonStatus, colors: boolean): string[][] {
  const up = uptimeMs === undefined ? "" : `, up ${formatDuration(uptimeMs)}`;
  return [
    ["daemon", `apex ${printable(version)}, pid ${pid}${up}`],
    ...rowsFor(engine, (engine) => [
      ["engine", engineLine(engine, colors)],
      ["", `${printable(engine.socket)} (from ${printable(engine.source)})`],
    ]),
    ...rowsFor(paths, ({ log }) => [["log", log === undefined ? "standard error" : printable(log)]]),
  ];
}

function furtherRows(status: DaemonStatus, colors: boolean): string[][] {
  const { instance, sockets, paths, tasks, sessions, storage, journal, log } = status;
  const head = log?.head ?? 0;
  return [
    ["client", `apex ${VERSION}`],
    ...rowsFor(instance, (id) => [["instance", printable(id)]]),
    ...rowsFor(paths, ({ state, config }) => [["state", printable(state)], ["config", printable(config)]]),
    ...rowsFor(sockets, ({ control, events }) => [["sockets", printable(control)], ["", printable(events)]]),
    ...rowsFor(tasks, ({ running, pending }) => [["tasks", `${running} running, ${pending} pending`]]),
    ...rowsFor(sessions, ({ attached, detached }) => [
      ["sessions", `${attached} attached, ${detached} detached`],
    ]),
    ...rowsFor(storage, (storage) => [["storage", storageLine(storage, colors)]]),
    ...rowsFor(journal, (journal) => [["journal", journalLine(journal, { head, colors })]]),
    ...eventRows(status),
  ];
}

function eventRows({ subscribers, subscribersDropped = 0, eventsPublished, log }: DaemonStatus): string[][] {
  const dropped = subscribersDropped > 0 ? `, ${subscribersDropped} dropped as too slow` : "";
  const rows = rowsFor(subscribers, (count) => [["subscribers", `${count}${dropped}`]]);
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

function storageLine({ state, error }: NonNullable<StatusResult["storage"]>, colors: boolean): string {
  const why = error === undefined ? "" : `: ${printable(error)}`;
  if (state === "ok") return `${state}${why}`;
  return `${colors ? red(state) : state}${why}; a restart of the daemon loses all changes from now on`;
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
