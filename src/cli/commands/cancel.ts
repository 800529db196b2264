import { request } from "../../client/control_exchange.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { CliContext } from "../cli_context.ts";
import { eachTarget } from "../connection/each_target.ts";

export interface CancelOptions {
  readonly sockets: SocketPaths;
  readonly tasks: readonly string[];
}

/** A task has the daemon's `stop_timeout` to end by itself, which may be long. */
const CANCEL_TIMEOUT_MS = 600_000;

/**
 * `apex cancel`: returns when they have ended, having printed the id of each one that was cancelled.
 *
 * @returns the exit status
 */
export async function cancel(context: CliContext, { sockets, tasks }: CancelOptions): Promise<number> {
  const { stdout, stderr } = context;
  const { exitStatus } = await eachTarget(tasks, {
    failure: "cannot cancel task",
    stderr,
    work: async (task) => {
      const options = { timeoutMs: CANCEL_TIMEOUT_MS };
      const cancelled = await request(sockets.controlSocket, "tasks.cancel", { task }, options);
      await stdout.print(cancelled.task.taskId);
    },
  });
  return exitStatus;
}
