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
  /** Continues with new output until the container exits. */
  readonly follow?: boolean;
  /** The number of existing lines to read; default all. */
  readonly tail?: number;
  /** Only output since this time, milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** Like `sinceMs`, as returned by `findLogStart`; takes precedence. */
  readonly start?: string;
  /** Prefixes each line with the engine's timestamp. */
  readonly timestamps?: boolean;
  /** Ends the iteration, which throws its reason. */
  readonly abort?: AbortSignal;
}

/**
 * Reads a container's output, stdout and stderr in order. No request is sent before the first iteration.
 * @throws {EngineError} `not_found` when the container does not exist
 */
export async function* readContainerLogs(
  client: EngineClient,
  { id, clock, follow = false, ...options }: { id: string; clock: Clock } & LogsOptions,
): AsyncGenerator<LogChunk, void, undefined> {
  // A signal for this call alone: the caller's may live long and would keep every listener.
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
    // An engine may send the headers only when there is output to follow.
    ...(follow && { timeoutMs: 0 }),
  });
  yield* readLog(body, { tty: Config.Tty === true, abort });
}

/** Options of {@linkcode findLogStart}. */

export interface LogStartOptions {
  /** The number of last lines. */
  readonly tail: number;
  /** Only lines since this time, milliseconds since the Unix epoch. */
  readonly sinceMs?: number | undefined;
  /** Aborts the search. */
  readonly abort?: AbortSignal | undefined;
}

/** Docker finds the end of a large log within half a second. */
const READ_WITHIN_MS = 10_000;
/** A timestamp takes 30 to 35 bytes. */
const MAX_TIME_BYTES = 64;

/**
 * Returns where the last `tail` lines of a log begin, as a time for `since`, `sec.nnnnnnnnn`. With it the same output
 * can be read again after more was written, which a number of lines does not allow. For `tail: 0`, it is a time after
 * the last line. Undefined for Podman, whose `since` has whole seconds.
 * @throws {EngineError} `not_found` when the container does not exist
 * @throws {DeadlineExceeded}
 * @throws the reason of `abort` when it aborts
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
  // The log is empty so far: it begins with the next output.
  if (timeNano === undefined) return formatEngineTime(sinceMs === undefined ? 0 : sinceMs * NANO_PER_MS);
  return formatExactEngineTime(tail === 0 ? timeNano + 1n : timeNano);
}
