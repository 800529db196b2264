/** The flags of `apex events` and `apex history`. */
import type { ControlParamsOf } from "../../client/control_exchange.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { formatDuration, parseDuration } from "../../platform/durations.ts";
import {
  type Cursor,
  MAX_FILTER_LENGTH,
  MAX_HEARTBEAT_MS,
  MAX_TYPES,
  MIN_HEARTBEAT_MS,
  parseCursor,
} from "../../protocol/event_operations.ts";
import { wireEventSchemas } from "../../protocol/wire_event.ts";
import type { CliContext } from "../cli_context.ts";
import { printable } from "../output/table.ts";
import type { DaemonFlags } from "./daemon_flags.ts";
import { limitOf, pointInTime, positive, type SwitchFlags, type TextFlags } from "./flag_values.ts";

/** Which events to select, as written on the command line. */
export interface FilterFlags extends TextFlags<"task" | "container"> {
  readonly type?: readonly string[] | undefined;
}

/** The flags of `apex events`, as written on the command line. */
export interface EventFlags
  extends
    FilterFlags,
    DaemonFlags,
    TextFlags<"after" | "since" | "cursorFile" | "limit" | "timeout" | "heartbeat">,
    SwitchFlags<"snapshot" | "reconnect" | "seq" | "failOnGap"> {}

/** The filter as `events.subscribe` and `events.history` take it. */
export type FilterParams = Pick<ControlParamsOf<"events.history">, "types" | "task" | "container">;

/** The flags of `apex events`, parsed. */
export interface EventOptions
  extends Pick<EventFlags, "snapshot" | "reconnect" | "cursorFile" | "timeout" | "seq" | "failOnGap"> {
  readonly filter: FilterParams;
  readonly after: Cursor | undefined;
  readonly sinceMs: number | undefined;
  readonly limit: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly heartbeatMs: number | undefined;
}

/** @throws {ApexError} `usage`, naming the flag and its value */
export function eventOptions(flags: EventFlags, { now }: CliContext): EventOptions {
  const { after, since, snapshot, reconnect, cursorFile, limit, timeout, seq, failOnGap, heartbeat } = flags;
  if (after !== undefined && since !== undefined) {
    throw new ApexError("usage", "--after and --since cannot be combined");
  }
  if (cursorFile === "") {
    throw new ApexError("usage", "--cursor-file: the file name is empty (is a variable not set?)");
  }
  return {
    ...{ snapshot, reconnect, cursorFile, timeout, seq, failOnGap },
    filter: filterParams(flags),
    after: after === undefined ? undefined : cursorOf(after),
    sinceMs: since === undefined ? undefined : pointInTime("--since", since, now()),
    limit: limit === undefined ? undefined : limitOf(limit),
    timeoutMs: timeout === undefined ? undefined : positive("--timeout", timeout, parseDuration),
    heartbeatMs: heartbeat === undefined ? undefined : heartbeatOf(heartbeat),
  };
}

/** @throws {ApexError} `usage` for values that the daemon would refuse */
export function filterParams({ type, task, container }: FilterFlags): FilterParams {
  if (type !== undefined && type.length > MAX_TYPES) {
    throw new ApexError("usage", `--type: given ${type.length} times (at most ${MAX_TYPES} are allowed)`);
  }
  for (const glob of type ?? []) checkWord("--type", "pattern", glob);
  checkWord("--task", "id", task);
  checkWord("--container", "name or id", container);
  return definedFields({ types: type && [...type], task, container });
}

/** Warns about types that this version does not know. A newer daemon may know them, but a typo is more likely. */
export async function warnOfUnknownTypes({ type = [] }: FilterFlags, { stderr }: CliContext): Promise<void> {
  const known = Object.keys(wireEventSchemas);
  for (const glob of type) {
    const parts = glob.split(/\*+/).map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    const pattern = new RegExp(`^${parts.join(".*")}$`);
    if (known.some((name) => pattern.test(name))) continue;
    await stderr.print(
      `apex: no known event type matches ${printable(JSON.stringify(glob))} (see: EVENTS.md)`,
    );
  }
}

function checkWord(flag: string, what: string, word: string | undefined): void {
  if (word === "") {
    throw new ApexError("usage", `${flag}: the ${what} is empty (is a variable not set?)`);
  }
  if (word === undefined || word.length <= MAX_FILTER_LENGTH) return;
  throw new ApexError(
    "usage",
    `${flag}: the ${what} has ${word.length} characters (at most ${MAX_FILTER_LENGTH} are allowed)`,
  );
}

function heartbeatOf(text: string): number {
  const heartbeatMs = positive("--heartbeat", text, parseDuration);
  if (heartbeatMs < MIN_HEARTBEAT_MS) {
    throw new ApexError("usage", `--heartbeat: ${text} is too short (at least ${MIN_HEARTBEAT_MS}ms)`);
  }
  if (heartbeatMs <= MAX_HEARTBEAT_MS) return heartbeatMs;
  throw new ApexError(
    "usage",
    `--heartbeat: ${text} is too long (at most ${formatDuration(MAX_HEARTBEAT_MS)})`,
  );
}

function cursorOf(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor !== undefined) return cursor;
  throw new ApexError(
    "usage",
    `--after: invalid cursor ${JSON.stringify(text)} (expected: 16 hex digits, a colon and a number, ` +
      "such as 0123456789abcdef:42; see: apex events --seq)",
  );
}
