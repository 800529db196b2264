/**
 * Checks that the running daemon has the version of this client, and follows the engine that the client names: with
 * `--engine`, the configuration, `DOCKER_HOST` or a Docker context. On another engine, a verb that changes something is
 * refused, and the others warn once. If the client names no engine, and the daemon's lock file has the client's version, no
 * request is sent.
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

/** A daemon that has just started does not know the kind of its engine yet. */
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
   * To be called before the client connects, and before it reconnects. Accepts that no daemon answers.
   *
   * @throws {ApexError} `protocol` for a daemon with another protocol; if the verb changes something: `conflict` for another
   * engine, and `usage` if the name of the engine is invalid
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
      if (await isNamed(engine, named)) return;
      if (named.kind === undefined || engine.kind !== undefined || performance.now() > deadlineMs) {
        return await this.#reportOtherEngine(named, engine, pid);
      }
      await delay(POLL_MS);
      status = await statusIfAny(controlSocket);
    }
  }

  async #reportOtherEngine(named: NamedEngine, { kind, socket, source }: Engine, pid: number): Promise<void> {
    const difference =
      `the daemon (pid ${pid}) follows ${kind ?? "the engine"} at ${socket} (from ${source}), ` +
      `but ${named.source} names ${named.name}`;
    if (!this.#options.isChange) {
      return await this.#warn(`${difference}; the output is from the daemon's engine`);
    }
    const accepted = kind === "embedded" ? kind : `unix://${socket}`;
    throw new ApexError(
      "conflict",
      `${difference}; stop that daemon (apex stop), start another one (--socket PATH, with an APEX_STATE_DIR of its own), or accept its engine ` +
        `(--engine ${accepted})`,
    );
  }

  async #warn(message: string): Promise<void> {
    if (this.#warnings.has(message)) return;
    this.#warnings.add(message);
    await this.#options.context.stderr.print(`apex: ${printable(message)}`);
  }
}

type Engine = NonNullable<DaemonStatus["engine"]>;

/** The status; undefined if the daemon does not answer: the verb itself reports why. */
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
  { socket, config, engine }: DaemonFlags,
): Promise<NamedEngine | undefined> {
  const paths = resolvePaths({ ...context, socket, config });
  const source = engine === undefined
    ? await configuredEngine(paths, context)
    : { engine, engineSource: "--engine" };
  return await namedEngine({ ...source, env: context.env, embeddedSocketPath: paths.engineSocket });
}

async function configuredEngine(
  paths: Paths,
  { env }: BaseContext,
): Promise<{ readonly engine: string; readonly engineSource: string }> {
  // Most users have no configuration file, and need not load its parser.
  if (!paths.configFileIsChosen && !await exists(paths.configFile)) {
    return { engine: "auto", engineSource: "default" };
  }
  const { loadConfig } = await import("../../platform/config.ts");
  return await loadConfig({ paths, env, flags: {} });
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

async function isNamed({ kind, socket }: Engine, named: NamedEngine): Promise<boolean> {
  if (named.kind !== undefined && named.kind === kind) return true;
  const actual = await realPath(socket);
  for (const path of named.socketPaths) if (await realPath(path) === actual) return true;
  return false;
}

/** The path without symbolic links; the path itself if it does not exist or cannot be read. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Error) return path;
    throw error;
  }
}
