import { request } from "../../client/control_exchange.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { CliContext } from "../cli_context.ts";
import { eachTarget } from "../connection/each_target.ts";
import { otherTargetsNote } from "../connection/other_targets.ts";

export interface InspectOptions {
  readonly sockets: SocketPaths;
  /** Each a task's id, or a container's name or id. */
  readonly targets: readonly string[];
}

/** The daemon asks its engine, which may be busy. */
const INSPECT_TIMEOUT_MS = 30_000;

/**
 * `apex inspect`: one JSON array of `{engine, container, task}`.
 *
 * @returns the exit status
 */
export async function inspect(context: CliContext, { sockets, targets }: InspectOptions): Promise<number> {
  const { stdout, stderr } = context;
  const { results, exitStatus } = await eachTarget(targets, {
    failure: "cannot inspect",
    stderr,
    work: async (target) => {
      const options = { timeoutMs: INSPECT_TIMEOUT_MS };
      const result = await request(sockets.controlSocket, "containers.inspect", { target }, options);
      const note = otherTargetsNote(target, result);
      if (note !== undefined) await stderr.print(`apex: ${note}`);
      return result;
    },
  });
  await stdout.print(JSON.stringify(results, null, 2));
  return exitStatus;
}
