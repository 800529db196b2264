import { ApexError } from "../../platform/apex_error.ts";
import { type Paths, resolvePaths, resolveSockets, type SocketPaths } from "../../platform/directories.ts";
import { daemonArguments, type DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext } from "../cli_context.ts";

export interface WithDaemonOptions {
  readonly context: CliContext;
  readonly flags: DaemonFlags;
}

/**
 * Calls `connect`. If no daemon runs, starts one, prints its pid on stderr, and calls `connect` again; unless the command
 * line or the configuration forbids that.
 *
 * @throws as `connect` does; {ApexError} `no_daemon` if none runs and none may be started, `engine` or `failed` if it could
 * not be started, `usage` for an invalid configuration
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

/** Starts a daemon; false if another process has started one at the same time. */
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

/** Prints at a terminal that the client waits for events, and from which engine: events may take their time. */
export async function printWaitingNote({ stdout, stderr }: CliContext, sockets: SocketPaths): Promise<void> {
  if (!stdout.isTerminal) return;
  const { daemonStatus } = await import("../../client/daemon_status.ts");
  try {
    const { engine } = await daemonStatus(sockets.controlSocket);
    if (engine === undefined) return;
    const name = engine.kind ? `${engine.kind} ${engine.version ?? ""}`.trimEnd() : "engine";
    const state = engine.state === "connected" ? `following ${name}` : `${name} is ${engine.state}`;
    await stderr.print(`apex: ${state} (${engine.socket}); waiting for events (Ctrl-C ends)`);
  } catch (error) {
    // The events still flow, even if the daemon does not answer this request.
    if (!(error instanceof ApexError)) throw error;
  }
}
