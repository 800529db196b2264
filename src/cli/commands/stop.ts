import { stopDaemon } from "../../client/stop_daemon.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { CliContext } from "../cli_context.ts";

/**
 * `apex stop`: ends the daemon, of whatever version, and returns when it is gone.
 *
 * @throws {ApexError} `no_daemon` when none runs; `timeout` when it does not end
 */
export async function stop({ stderr }: CliContext, sockets: SocketPaths): Promise<void> {
  try {
    const { pid } = await stopDaemon({ sockets });
    await stderr.print(`apex: the daemon (pid ${pid}) has ended; tasks and sessions continue`);
  } catch (error) {
    if (!(error instanceof ApexError && error.code === "no_daemon")) throw error;
    const message = `no daemon is running at ${sockets.controlSocket}: there is nothing to stop`;
    throw new ApexError("no_daemon", message, { cause: error });
  }
}
