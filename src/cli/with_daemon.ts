import { ApexError } from "../platform/apex_error.ts";
import { type Paths, resolvePaths, resolveSockets, type SocketPaths } from "../platform/directories.ts";
import type { LogLevel } from "../platform/log_level.ts";
import type { CliContext } from "./cli_context.ts";

/** What of the command line a daemon is found by, and started with. */
export interface DaemonFlags {
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
  readonly verbose?: true | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly engine?: string | undefined;
  /** Absent: as the configuration has it. */
  readonly daemonize?: boolean | undefined;
}

export interface WithDaemonOptions {
  readonly context: CliContext;
  readonly flags: DaemonFlags;
}

/**
 * What `connect` gives. When no daemon runs, one is started first and named on stderr, unless the command line or the
 * configuration forbids it; `connect` is then called again.
 *
 * @throws what `connect` throws; {ApexError} `no_daemon` when none runs and none may be started, `failed` when it could not
 * be started, `usage` for a configuration that makes no sense.
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
    await start(paths, { context, flags });
  }
  return await connect(sockets);
}

async function mayStart(paths: Paths, { env }: CliContext): Promise<boolean> {
  const { loadConfig } = await import("../platform/config.ts");
  return (await loadConfig({ paths, env, flags: {} })).daemonize;
}

async function start(paths: Paths, { context, flags }: WithDaemonOptions): Promise<void> {
  const { startDaemon } = await import("../client/start_daemon.ts");
  const { pid, logPath, isOurs } = await startDaemon({
    selfCommand: context.selfCommand,
    flags: flagsToPassOn(flags, paths),
    paths,
  });
  if (isOurs) await context.stderr.print(`apex: started a daemon (pid ${pid}; log: ${logPath})`);
}

/** The daemon works elsewhere, so paths are absolute. What came from the environment it finds there as well. */
function flagsToPassOn(flags: DaemonFlags, paths: Paths): string[] {
  const logLevel = flags.verbose ? "debug" : flags.logLevel;
  return [
    ...(flags.socket === undefined ? [] : ["--socket", paths.controlSocket]),
    ...(flags.config === undefined ? [] : ["--config", paths.configFile]),
    ...(logLevel === undefined ? [] : ["--log-level", logLevel]),
    ...(flags.engine === undefined ? [] : ["--engine", flags.engine]),
  ];
}
