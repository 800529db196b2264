/** What the flags of `apex events` and `apex history` mean. */
import { ApexError } from "../../platform/apex_error.ts";
import { formatDuration, parseDuration } from "../../platform/durations.ts";
import {
  type Cursor,
  MAX_FILTER_LENGTH,
  MAX_HEARTBEAT_MS,
  MAX_TYPES,
  MIN_HEARTBEAT_MS,
  parseCursor,
} from "../../protocol/event_messages.ts";
import type { CliContext } from "../cli_context.ts";
import { positive } from "./container_flags.ts";
import type { DaemonFlags } from "./daemon_flags.ts";
import { pointInTime } from "./point_in_time.ts";

/** Which events. */
export interface FilterFlags {
  readonly type?: readonly string[] | undefined;
  readonly task?: string | undefined;
  readonly container?: string | undefined;
}

/** As they were written. */
export interface EventFlags extends FilterFlags, DaemonFlags {
  readonly after?: string | undefined;
  readonly since?: string | undefined;
  readonly snapshot?: true | undefined;
  readonly reconnect?: true | undefined;
  readonly cursorFile?: string | undefined;
  readonly limit?: string | undefined;
  readonly timeout?: string | undefined;
  readonly seq?: true | undefined;
  readonly failOnGap?: true | undefined;
  readonly heartbeat?: string | undefined;
}

/** The filter as `events.subscribe` and `events.history` take it. */
export interface FilterParams {
  types?: string[];
  task?: string;
  container?: string;
}

/** What they mean. */
export interface EventOptions {
  readonly filter: FilterParams;
  readonly after: Cursor | undefined;
  readonly sinceMs: number | undefined;
  readonly wantsSnapshot: boolean;
  readonly reconnects: boolean;
  readonly cursorFile: string | undefined;
  readonly limit: number | undefined;
  /** As it was written, for messages. */
  readonly timeout: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly showsCursors: boolean;
  readonly failsOnGap: boolean;
  readonly heartbeatMs: number | undefined;
}

/** @throws {ApexError} `usage` */
export function eventOptions(flags: EventFlags, { now }: CliContext): EventOptions {
  const { after, since, cursorFile, timeout, heartbeat } = flags;
  if (after !== undefined && since !== undefined) {
    throw new ApexError("usage", "--after and --since exclude each other");
  }
  if (cursorFile === "") {
    throw new ApexError("usage", "--cursor-file: the file's name is empty; is a variable not set?");
  }
  return {
    filter: filterParams(flags),
    after: after === undefined ? undefined : cursorOf(after),
    sinceMs: since === undefined ? undefined : pointInTime("--since", since, now()),
    wantsSnapshot: flags.snapshot ?? false,
    reconnects: flags.reconnect ?? false,
    cursorFile,
    limit: flags.limit === undefined ? undefined : limitOf(flags.limit),
    timeout,
    timeoutMs: timeout === undefined ? undefined : positive("--timeout", timeout, parseDuration),
    showsCursors: flags.seq ?? false,
    failsOnGap: flags.failOnGap ?? false,
    heartbeatMs: heartbeat === undefined ? undefined : heartbeatOf(heartbeat),
  };
}

/** @throws {ApexError} `usage` for what the daemon would refuse */
export function filterParams({ type, task, container }: FilterFlags): FilterParams {
  if (type !== undefined && type.length > MAX_TYPES) {
    throw new ApexError("usage", `--type: given ${type.length} times, at most ${MAX_TYPES} are taken`);
  }
  for (const glob of type ?? []) checkWord("--type", "glob", glob);
  checkWord("--task", "id", task);
  checkWord("--container", "name or id", container);
  return {
    ...(type !== undefined && { types: [...type] }),
    ...(task !== undefined && { task }),
    ...(container !== undefined && { container }),
  };
}

/** @throws {ApexError} `usage` */
export function limitOf(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new ApexError("usage", `--limit: ${JSON.stringify(text)} must be a positive integer`);
}

function checkWord(flag: string, what: string, word: string | undefined): void {
  if (word === "") {
    throw new ApexError("usage", `${flag}: the ${what} is empty; is a variable not set?`);
  }
  if (word === undefined || word.length <= MAX_FILTER_LENGTH) return;
  throw new ApexError(
    "usage",
    `${flag}: the ${what} has ${word.length} characters; at most ${MAX_FILTER_LENGTH} are taken`,
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
    `--after: invalid cursor ${
      JSON.stringify(text)
    }: expected 16 hex digits, a colon and a number, such as ` +
      "0123456789abcdef:42 (apex events --seq shows them)",
  );
}
