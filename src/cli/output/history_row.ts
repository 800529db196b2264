import { green, red } from "@std/fmt/colors";
import * as v from "valibot";
import { invalidLine } from "../../client/line_stream.ts";
import { printable } from "./table.ts";

export const HISTORY_HEADINGS = ["TIME", "EVENT", "CONTAINER", "TASK", "DETAILS"];

const PAST_EVENT = v.looseObject({
  type: v.string(),
  publishedAt: v.exactOptional(v.string()),
  timestamp: v.exactOptional(v.string()),
});

/** An event from the journal, with any fields. */
export type PastEvent = Readonly<v.InferOutput<typeof PAST_EVENT>>;

/** @param lines whole lines of a history @throws {ApexError} `protocol` for a line that is not an event */
export function pastEvents(lines: Uint8Array): PastEvent[] {
  try {
    const texts = new TextDecoder().decode(lines).trimEnd().split("\n");
    return texts.map((text) => v.parse(PAST_EVENT, JSON.parse(text)));
  } catch (error) {
    throw invalidLine(error);
  }
}

export interface HistoryRowOptions {
  /** Names of containers by id; a container without a name is shown by the first digits of its id. */
  readonly names: ReadonlyMap<string, string>;
  readonly colors: boolean;
}

/** One row of the table, in local time. */
export function historyRow(event: PastEvent, { names, colors }: HistoryRowOptions): string[] {
  const { containerName, containerId } = event;
  const paint = colors ? colorOf(event) : (text: string) => text;
  const time = event.timestamp ?? event.publishedAt;
  return [
    time === undefined ? "-" : localTime(new Date(time)),
    paint(printable(event.type)),
    textOf(containerName ?? names.get(String(containerId)) ?? shortId(containerId)) ?? "-",
    textOf(event.taskId) ?? "-",
    detailsOf(event).join(", "),
  ];
}

/** The most important fields, in words. */
function detailsOf(event: PastEvent): string[] {
  const { type, exitCode, signal, oomKilled, reason, status, operation, engine, version, error, origin } =
    event;
  const details = [
    event.session,
    operation,
    type === "container.health" ? status : undefined,
    type.startsWith("engine.") ? [engine, version].filter(Boolean).join(" ") : undefined,
    reason === "exit" || type === "stream.gap" ? undefined : reason,
    exitCode === undefined ? undefined : `exit ${exitCode}`,
    signal,
    oomKilled === true ? "out of memory" : undefined,
    type === "stream.gap" ? `events after ${event.from}, up to ${event.to}, are missing` : undefined,
    event.graceful === false ? "had to be killed" : undefined,
    error,
    origin,
  ];
  return details.map(textOf).filter((text) => text !== undefined);
}

function colorOf({ type, exitCode }: PastEvent): (text: string) => string {
  if (type === "task.failed" || type === "container.operation_failed" || type === "engine.disconnected") {
    return red;
  }
  if (type === "container.died" && exitCode !== 0) return red;
  return type === "task.completed" ? green : (text) => text;
}

function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}

/** The first 12 digits of a container's id, as Docker shows it. */
function shortId(id: unknown): string | undefined {
  return typeof id === "string" ? id.slice(0, 12) : undefined;
}

function localTime(time: Date): string {
  const digits = (value: number): string => String(value).padStart(2, "0");
  const date = [time.getFullYear(), digits(time.getMonth() + 1), digits(time.getDate())].join("-");
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(digits).join(":")}`;
}
