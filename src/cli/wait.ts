import { openStream } from "../client/control_stream.ts";
import { endedTaskOf } from "../client/frame_payloads.ts";
import { ApexError } from "../platform/apex_error.ts";
import { systemClock } from "../platform/clock.ts";
import type { SocketPaths } from "../platform/directories.ts";
import { parseDuration } from "../platform/durations.ts";
import { atTime } from "../platform/far_timer.ts";
import type { CliContext } from "./cli_context.ts";
import { exitStatusOf, explainEnd } from "./task_end.ts";
import { positive } from "./container_flags.ts";

export interface WaitOptions {
  readonly sockets: SocketPaths;
  readonly task: string;
  /** As it was written: `10m`. */
  readonly timeout?: string | undefined;
}

/**
 * `apex wait`: returns when the task has ended, at once if it has.
 *
 * @returns the exit status that `apex run` would have had
 * @throws {ApexError} `timeout`, `not_found`, `no_daemon`; `stream_cut` when the daemon went away; `usage`.
 */
export async function wait({ stderr }: CliContext, options: WaitOptions): Promise<number> {
  const { sockets, task, timeout } = options;
  const limitMs = timeout === undefined ? undefined : positive("--timeout", timeout, parseDuration);
  const limit = new AbortController();
  const late = new ApexError("timeout", `task ${task} has not ended within ${timeout} (--timeout)`);
  const cancelLimit = limitMs === undefined ? undefined : atTime(systemClock.now() + limitMs, {
    clock: systemClock,
    callback: () => limit.abort(late),
  });
  try {
    using stream = await openStream(sockets.controlSocket, "tasks.wait", { task }, { signal: limit.signal });
    for await (const frame of stream.frames) {
      if (frame.kind !== "exit") continue;
      const { task: ended } = endedTaskOf(frame);
      const why = explainEnd(ended);
      if (why !== undefined) await stderr.print(`apex: ${why}`);
      return exitStatusOf(ended);
    }
  } finally {
    cancelLimit?.();
  }
  throw new ApexError(
    "stream_cut",
    `the daemon went away while this waited for task ${task}, which may go on; start it again with: apex daemon`,
  );
}
