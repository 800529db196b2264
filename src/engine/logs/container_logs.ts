import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { EngineClient } from "../engine_client.ts";
import {
  formatEngineTime,
  formatExactEngineTime,
  NANO_PER_MS,
  parseExactEngineTime,
} from "../events/engine_time.ts";
import { type LogChunk, readLog } from "./log_frames.ts";

export interface LogsOptions {
  /** Goes on with what the container says from now on, until it ends. */
  readonly follow?: boolean;
  /** So many of the lines that are there; all of them by default. */
  readonly tail?: number;
  /** Only what was said from then on, milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** The same, as `findLogStart` gives it; it counts instead. */
  readonly start?: string;
  /** Begins each line with the engine's time of it. */
  readonly timestamps?: boolean;
  /** Ends the iteration, which throws its reason. */
  readonly abort?: AbortSignal;
}

/**
 * What a container has said, on stdout and stderr, in order. Nothing is asked before the first piece is.
 * @throws {EngineError} `not_found` when the container is gone
 */
export async function* readContainerLogs(
  client: EngineClient,
  { id, clock, follow = false, ...options }: { id: string; clock: Clock } & LogsOptions,
): AsyncGenerator<LogChunk, void, undefined> {
  // A signal of this call's own: the caller's may live long and would keep what is hung on it.
  using link = new Deadline(0, { clock, abort: options.abort });
  const { abortSignal: abort } = link;
  const { Config } = await client.inspectContainer(id, abort);
  const body = await client.openLong(`/containers/${encodeURIComponent(id)}/logs`, {
    query: {
      stdout: true,
      stderr: true,
      follow,
      tail: options.tail,
      since: options.start ??
        (options.sinceMs === undefined ? undefined : formatEngineTime(options.sinceMs * NANO_PER_MS)),
      timestamps: options.timestamps,
    },
    abort,
    // An engine may hold the headers back until there is something to follow.
    ...(follow && { timeoutMs: 0 }),
  });
  yield* readLog(body, { tty: Config.Tty === true, abort });
}

/**
 * Where the last lines of a container's log begin, as a time for `since`: with it the same output can be read again after
 * more was written, which a number of lines does not allow.
 */

export interface LogStartOptions {
  /** So many of the last lines. */
  readonly tail: number;
  /** Of those written from then on, milliseconds since the Unix epoch. */
  readonly sinceMs?: number | undefined;
  /** Gives up. */
  readonly abort?: AbortSignal | undefined;
}

/** Docker finds the end of a large log within half a second. */
const READ_WITHIN_MS = 10_000;
/** A time takes 30 to 35 bytes. */
const MAX_TIME_BYTES = 64;

/**
 * The time of the first of these lines, `sec.nnnnnnnnn`; for none of them, a time after the last line. Undefined for Podman,
 * whose `since` counts whole seconds.
 * @throws {EngineError} `not_found` when the container is gone
 * @throws the signal's reason when it aborts, {DeadlineExceeded}
 */
export async function findLogStart(
  client: EngineClient,
  { id, clock, tail, sinceMs, abort }: LogStartOptions & {
    readonly id: string;
    readonly clock: Clock;
  },
): Promise<string | undefined> {
  using deadline = new Deadline(READ_WITHIN_MS, { clock, abort });
  if ((await client.identify(deadline.abortSignal)).kind === "podman") return undefined;
  const { Config } = await client.inspectContainer(id, deadline.abortSignal);
  const body = await client.openLong(`/containers/${encodeURIComponent(id)}/logs`, {
    query: {
      stdout: true,
      stderr: true,
      timestamps: true,
      tail: Math.max(tail, 1),
      since: sinceMs === undefined ? undefined : formatEngineTime(sinceMs * NANO_PER_MS),
    },
    abort: deadline.abortSignal,
  });
  let start = "";
  for await (const { bytes } of readLog(body, { tty: Config.Tty === true, abort: deadline.abortSignal })) {
    start += new TextDecoder().decode(bytes.subarray(0, MAX_TIME_BYTES));
    if (start.includes(" ") || start.length >= MAX_TIME_BYTES) break;
  }
  const timeNano = parseExactEngineTime(start.split(" ", 1)[0] ?? "");
  // Nothing was written so far: it begins with what comes.
  if (timeNano === undefined) return formatEngineTime(sinceMs === undefined ? 0 : sinceMs * NANO_PER_MS);
  return formatExactEngineTime(tail === 0 ? timeNano + 1n : timeNano);
}
