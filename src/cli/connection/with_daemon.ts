import { ApexError } from "../../platform/apex_error.ts";
import { type Paths, resolvePaths, resolveSockets, type SocketPaths } from "../../platform/directories.ts";
import { daemonArguments, type DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext } from "../cli_context.ts";

export interface WithDaemonOptions {
  readonly context: CliContext;
  readonly flags: DaemonFlags;
}

/**
 * What `connect` gives. When no daemon runs, one is started first and named on stderr, unless the command line or the
 * configuration forbids it; `connect` is then called again.
 *
 * @throws what `connect` throws; {ApexError} `no_daemon` when none runs and none may be started, `engine` or `failed` when it
 * could not be started, `usage` for an invalid configuration.
 */
export async function withDaemon<T>(
  connect: (sockets: SocketPaths) => Promise<T>,
  { context, flags }: WithDaemonOptions,
): Promise<T> {
  const sockets = resolveSockets({ ...context, socket: flags.socket });
  try {
    return await connect(sockets);
  } catch (error) {
    if (!(error instanceof ApexError && error.code === "no_daemon") || flags.daemonize === false) throw error;
    const paths = resolvePaths({ ...context, socket: flags.socket, config: flags.config });
    if (flags.daemonize === undefined && !await mayStart(paths, context)) throw error;
    if (!await start(paths, { context, flags })) await context.checkDaemon(sockets);
  }
  return await connect(sockets);
}

async function mayStart(paths: Paths, { env }: CliContext): Promise<boolean> {
  const { loadConfig } = await import("../../platform/config.ts");
  return (await loadConfig({ paths, env, flags: {} })).daemonize;
}

/** Whether the daemon that runs now is the one that was started here. */
async function start(paths: Paths, { context, flags }: WithDaemonOptions): Promise<boolean> {
  const { startDaemon } = await import("../../client/start_daemon.ts");
  const { pid, logPath, isOurs } = await startDaemon({
    selfCommand: context.selfCommand,
    flags: daemonArguments(flags, paths),
    paths,
  });
  if (isOurs) await context.stderr.print(`apex: started a daemon (pid ${pid}; log: ${logPath})`);
  return isOurs;
}
