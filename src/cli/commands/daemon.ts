/** The verbs that concern the daemon itself: `apex daemon --detach`, `restart`, `stop`, `status`; and `apex version`. */
import { type DaemonStatus, daemonStatus, versionSkew } from "../../client/daemon_status.ts";
import { startDaemon, type StartDaemonOptions } from "../../client/start_daemon.ts";
import { stopDaemon, type StoppedDaemon } from "../../client/stop_daemon.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { type Paths, resolvePaths, type SocketPaths } from "../../platform/directories.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import { daemonArguments, type DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { printBriefStatus, printStatus } from "../output/status_table.ts";
import { printable } from "../output/table.ts";

/**
 * `apex daemon --detach`: starts a daemon in the background, and prints its status.
 *
 * @throws {ApexError} `busy` if a daemon already runs; `engine` or `failed` if it could not be started
 */
export async function startInBackground(context: CliContext, flags: DaemonFlags): Promise<void> {
  const paths = resolvePaths({ ...context, socket: flags.socket, config: flags.config });
  await start(context, { paths, flags: daemonArguments(flags, paths) });
}

/**
 * `apex restart`: stops the daemon and starts this version of it in the background, with the same engine and options unless
 * `flags` override them. If no daemon runs, starts one.
 *
 * @throws {ApexError} `timeout` if the old daemon does not end; as {@linkcode startInBackground} does
 */
export async function restart(context: CliContext, flags: DaemonFlags): Promise<void> {
  const paths = resolvePaths({ ...context, socket: flags.socket, config: flags.config });
  const given = daemonArguments(flags, paths);
  const old = await stopIfAny(paths);
  if (old === undefined) {
    await context.stderr.print(`apex: no daemon was running at ${paths.controlSocket}`);
    return await start(context, { paths, flags: given });
  }
  const { status } = old;
  const stateDir = status?.paths?.state ?? paths.stateDir;
  await start(context, {
    paths: { controlSocket: paths.controlSocket, stateDir },
    flags: [...oldArguments(status, paths), ...given],
    env: { APEX_STATE_DIR: stateDir, ...(flags.engine === undefined && engineVariables(status)) },
  });
}

/**
 * `apex stop`: stops the daemon, of any version, and returns when it has ended.
 *
 * @throws {ApexError} `no_daemon` if none runs; `timeout` if it does not end
 */
export async function stop({ stderr }: CliContext, sockets: SocketPaths): Promise<void> {
  const stopped = await stopIfAny(sockets);
  if (stopped === undefined) {
    throw new ApexError("no_daemon", `cannot stop the daemon: none is running at ${sockets.controlSocket}`);
  }
  await stderr.print(`apex: stopped the daemon (pid ${stopped.pid}); tasks and sessions continue`);
}

/** `apex status`: prints the status of the daemon, which may have another version than this client. */
export async function status(context: CliContext, { sockets, json }: VerbOptions): Promise<void> {
  const { stdout, stderr } = context;
  const result = await daemonStatus(sockets.controlSocket);
  const client = { version: VERSION, protocol: PROTOCOL_VERSION };
  if (json) await stdout.print(JSON.stringify({ ...result, client }, null, 2));
  else await printStatus(stdout, result);
  const skew = versionSkew(result);
  if (skew !== undefined) await stderr.print(`apex: ${printable(skew)}`);
}

/** `apex version`: prints the version of this program, whether or not a daemon runs. */
export async function version({ stdout }: CliContext, { json }: Pick<VerbOptions, "json">): Promise<void> {
  if (!json) return await stdout.print(`apex ${VERSION}`);
  const { os, arch } = Deno.build;
  const facts = { version: VERSION, protocol: PROTOCOL_VERSION, deno: Deno.version.deno, os, arch };
  await stdout.print(JSON.stringify(facts, null, 2));
}

async function stopIfAny(sockets: SocketPaths): Promise<StoppedDaemon | undefined> {
  try {
    return await stopDaemon({ sockets });
  } catch (error) {
    if (error instanceof ApexError && error.code === "no_daemon") return undefined;
    throw error;
  }
}

async function start(
  { selfCommand, stdout }: CliContext,
  options: Omit<StartDaemonOptions, "selfCommand">,
): Promise<void> {
  const { controlSocket } = options.paths;
  const { pid, isOurs } = await startDaemon({ selfCommand, ...options });
  if (!isOurs) {
    throw new ApexError(
      "busy",
      `a daemon is already running (pid ${pid}, socket ${controlSocket}); stop it with apex stop, or replace it with ` +
        "apex restart",
    );
  }
  await printBriefStatus(stdout, await daemonStatus(controlSocket));
}

/** The old daemon's options; later options override them. An old version does not report them: then only its engine. */
function oldArguments(status: DaemonStatus | undefined, { controlSocket }: Paths): readonly string[] {
  if (status?.flags !== undefined) return status.flags;
  const { kind, socket } = status?.engine ?? {};
  const engine = kind === "embedded" ? kind : socket && `unix://${socket}`;
  return ["--socket", controlSocket, ...(engine === undefined ? [] : ["--engine", engine])];
}

/** The variables by which the old daemon may have found its engine; this client may have other ones. */
function engineVariables(status: DaemonStatus | undefined): Record<string, string> {
  const { source = "", socket } = status?.engine ?? {};
  if (source === "DOCKER_HOST") return { DOCKER_HOST: `unix://${socket}` };
  const [, context] = /^context "(.*)"$/.exec(source) ?? [];
  if (context !== undefined) return { DOCKER_HOST: "", DOCKER_CONTEXT: context };
  // Flags and the configuration override these variables anyway; here they must not override the default sockets.
  return source === "default" ? { DOCKER_HOST: "", DOCKER_CONTEXT: "default" } : {};
}
