/** `apex daemon --detach` and `apex restart`: a daemon in the background, which is then described on stdout. */
import { type DaemonStatus, daemonStatus } from "../../client/daemon_status.ts";
import { startDaemon } from "../../client/start_daemon.ts";
import { stopDaemon, type StoppedDaemon } from "../../client/stop_daemon.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { type Paths, resolvePaths } from "../../platform/directories.ts";
import { daemonArguments, type DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { printBriefStatus } from "../commands/status.ts";

/**
 * `apex daemon --detach`.
 *
 * @throws {ApexError} `busy` when a daemon runs already; `engine` or `failed` when it could not be started
 */
export async function startInBackground(context: CliContext, flags: DaemonFlags): Promise<void> {
  const paths = resolvePaths({ ...context, socket: flags.socket, config: flags.config });
  await start(context, { paths, flags: daemonArguments(flags, paths) });
}

/**
 * `apex restart`: ends the daemon and starts another one in the background with its engine and its options, unless these
 * say otherwise. Where none runs, one is started.
 *
 * @throws {ApexError} `timeout` when the old one does not end; as {@linkcode startInBackground}
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

async function stopIfAny(sockets: Paths): Promise<StoppedDaemon | undefined> {
  try {
    return await stopDaemon({ sockets });
  } catch (error) {
    if (error instanceof ApexError && error.code === "no_daemon") return undefined;
    throw error;
  }
}

interface Start {
  readonly paths: Pick<Paths, "controlSocket" | "stateDir">;
  readonly flags: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

async function start(context: CliContext, options: Start): Promise<void> {
  const { controlSocket } = options.paths;
  const { pid, isOurs } = await startDaemon({ selfCommand: context.selfCommand, ...options });
  if (!isOurs) {
    throw new ApexError(
      "busy",
      `a daemon already runs (pid ${pid}, socket ${controlSocket}); to end it: apex stop; to start it again: apex restart`,
    );
  }
  await printBriefStatus(context, await daemonStatus(controlSocket));
}

/** Later options win over these. One that does not say how it was started follows the same engine, at least. */
function oldArguments(status: DaemonStatus | undefined, { controlSocket }: Paths): readonly string[] {
  if (status?.flags !== undefined) return status.flags;
  const { kind, socket } = status?.engine ?? {};
  const engine = kind === "embedded" ? kind : socket && `unix://${socket}`;
  return ["--socket", controlSocket, ...(engine === undefined ? [] : ["--engine", engine])];
}

/** The old daemon may have found its engine by variables that this client has not, or has otherwise. */
function engineVariables(status: DaemonStatus | undefined): Record<string, string> {
  const { source = "", socket } = status?.engine ?? {};
  if (source === "DOCKER_HOST") return { DOCKER_HOST: `unix://${socket}` };
  const [, context] = /^context "(.*)"$/.exec(source) ?? [];
  if (context !== undefined) return { DOCKER_HOST: "", DOCKER_CONTEXT: context };
  // What flags and the configuration name wins over these variables; they must not win over the usual sockets.
  return source === "default" ? { DOCKER_HOST: "", DOCKER_CONTEXT: "default" } : {};
}
