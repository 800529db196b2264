import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { EngineClient } from "../engine_client.ts";
import { formatEngineTime, NANO_PER_MS } from "../events/engine_time.ts";
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
  readonly signal?: AbortSignal;
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
  using link = new Deadline(0, { clock, abort: options.signal });
  const { abortSignal: signal } = link;
  const { Config } = await client.inspectContainer(id, signal);
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
    signal,
    // An engine may hold the headers back until there is something to follow.
    ...(follow && { timeoutMs: 0 }),
  });
  yield* readLog(body, { tty: Config.Tty === true, signal });
}
