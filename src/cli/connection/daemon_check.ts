/**
 * Whether the daemon that answers is the one that this client means: of its own version, and following the engine that
 * `--engine`, the configuration, `DOCKER_HOST` or a Docker context names. A verb that changes something is refused on another
 * engine, the others warn once. A client that names no engine, and whose daemon's lock file has its own version, asks
 * nothing.
 */
import { delay } from "@std/async/delay";
import { type DaemonStatus, daemonStatus, versionSkew } from "../../client/daemon_status.ts";
import { type NamedEngine, namedEngine } from "../../engine/discovery/named_engine.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { type Paths, resolvePaths, type SocketPaths } from "../../platform/directories.ts";
import { instanceLockPath, readInstanceRecord } from "../../platform/lock_file.ts";
import { PROTOCOL_VERSION, VERSION } from "../../protocol/version.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import type { BaseContext } from "../cli_context.ts";
import { printable } from "../output/table.ts";

export interface DaemonCheckOptions {
  readonly context: BaseContext;
  readonly flags: DaemonFlags;
  /** The verb creates or changes something. */
  readonly isChange: boolean;
}

/** A daemon that has just started has not asked its engine yet what it is. */
const KIND_WITHIN_MS = 5_000;
const POLL_MS = 50;

export class DaemonCheck {
  readonly #options: DaemonCheckOptions;
  #named: Promise<NamedEngine | undefined> | undefined;
  readonly #warnings = new Set<string>();

  constructor(options: DaemonCheckOptions) {
    this.#options = options;
  }

  /**
   * Call it before connecting, and before connecting again. That no daemon answers is not its business.
   *
   * @throws {ApexError} `protocol` for a daemon that speaks another protocol; where the verb is a change: `conflict` for
   * another engine, and `usage` when what names the engine is invalid
   */
  async check(sockets: SocketPaths): Promise<void> {
    const named = await this.#namedEngine();
    const record = await readInstanceRecord(instanceLockPath(sockets.runtimeDir));
    const hasOtherVersion = record !== undefined && record.version !== VERSION;
    if (named === undefined && !hasOtherVersion) return;
    const status = await statusIfAny(sockets.controlSocket);
    if (status === undefined) return;
    const skew = versionSkew(status);
    if (status.protocol !== PROTOCOL_VERSION) throw new ApexError("protocol", skew ?? "");
    if (skew !== undefined) await this.#warn(skew);
    if (named !== undefined) await this.#compare(named, status, sockets);
  }

  async #namedEngine(): Promise<NamedEngine | undefined> {
    const { context, flags, isChange } = this.#options;
    try {
      return await (this.#named ??= resolveNamedEngine(context, flags));
    } catch (error) {
      if (isChange || !(error instanceof ApexError)) throw error;
      await this.#warn(error.message);
      return undefined;
    }
  }

  async #compare(named: NamedEngine, first: DaemonStatus, { controlSocket }: SocketPaths): Promise<void> {
    let status: DaemonStatus | undefined = first;
    const deadlineMs = performance.now() + KIND_WITHIN_MS;
    while (status?.engine !== undefined) {
      const { engine, pid } = status;
      if (await isMeant(engine, named)) return;
      if (named.kind === undefined || engine.kind !== undefined || performance.now() > deadlineMs) {
        return await this.#tellOtherEngine(named, { engine, pid });
      }
      await delay(POLL_MS);
      status = await statusIfAny(controlSocket);
    }
  }

  async #tellOtherEngine(named: NamedEngine, daemon: Pick<DaemonStatus, "pid"> & WithEngine): Promise<void> {
    const { kind, socket, source } = daemon.engine;
    const difference =
      `the daemon (pid ${daemon.pid}) follows ${kind ?? "the engine"} at ${socket} (from ${source}), ` +
      `but ${named.source} names ${named.name}`;
    if (!this.#options.isChange) {
      return await this.#warn(`${difference}; what is shown is of the daemon's engine`);
    }
    const accepted = kind === "embedded" ? kind : `unix://${socket}`;
    throw new ApexError(
      "conflict",
      `${difference}; end that daemon (apex stop), use another one (--socket PATH), or accept its engine ` +
        `(--engine ${accepted})`,
    );
  }

  async #warn(message: string): Promise<void> {
    if (this.#warnings.has(message)) return;
    this.#warnings.add(message);
    await this.#options.context.stderr.print(`apex: ${printable(message)}`);
  }
}

type WithEngine = Required<Pick<DaemonStatus, "engine">>;

/** What is wrong with a daemon that does not answer, the verb itself finds out. */
async function statusIfAny(controlSocket: string): Promise<DaemonStatus | undefined> {
  try {
    return await daemonStatus(controlSocket);
  } catch (error) {
    if (error instanceof ApexError) return undefined;
    throw error;
  }
}

async function resolveNamedEngine(
  context: BaseContext,
  flags: DaemonFlags,
): Promise<NamedEngine | undefined> {
  const { env } = context;
  const paths = resolvePaths({ ...context, socket: flags.socket, config: flags.config });
  const { engine, engineSource } = flags.engine !== undefined
    ? { engine: flags.engine, engineSource: "--engine" }
    : await configuredEngine(paths, context);
  return await namedEngine({ engine, engineSource, env, embeddedSocketPath: paths.engineSocket });
}

async function configuredEngine(
  paths: Paths,
  { env }: BaseContext,
): Promise<{ readonly engine: string; readonly engineSource: string }> {
  // Most have no configuration: then its parser need not be loaded.
  if (!paths.configFileIsChosen && !await isThere(paths.configFile)) {
    return { engine: "auto", engineSource: "default" };
  }
  const { loadConfig } = await import("../../platform/config.ts");
  return await loadConfig({ paths, env, flags: {} });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

async function isMeant({ kind, socket }: WithEngine["engine"], named: NamedEngine): Promise<boolean> {
  if (named.kind !== undefined && named.kind === kind) return true;
  const actual = await realPath(socket);
  for (const path of named.socketPaths) if (await realPath(path) === actual) return true;
  return false;
}

/** A socket that is not there, or cannot be looked at, has the path that it is named by. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Error) return path;
    throw error;
  }
}
