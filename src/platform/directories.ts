/**
 * The paths of apex: sockets in a runtime directory, persistent data in a state directory, and a configuration file.
 * {@linkcode resolvePaths} only computes paths. {@linkcode prepareDirectories} creates the directories, and refuses
 * directories in which other users could reach the sockets. Clients only resolve paths.
 */
import { dirname, join, resolve } from "@std/path/posix";
import { ApexError, messageOf } from "./apex_error.ts";

/** Reads one environment variable: `Deno.env.get`, except in tests. */
export type ReadEnv = (name: string) => string | undefined;

/** The paths of the sockets, which are all that a client needs. Absolute. */
export interface SocketPaths {
  /** Contains the sockets; 0700 if apex creates it. */
  readonly runtimeDir: string;
  /** Whether `--socket` chose the runtime directory: then others may have read, but not write permission. */
  readonly runtimeDirIsChosen: boolean;
  readonly controlSocket: string;
  /** In the directory of the control socket. */
  readonly eventsSocket: string;
  /** The socket of the embedded engine, in the same directory. */
  readonly engineSocket: string;
}

/** Every path that apex opens by itself. Absolute. */
export interface Paths extends SocketPaths {
  /** Contains the database, the lock and the log; 0700. */
  readonly stateDir: string;
  /** Where the embedded engine keeps its containers. */
  readonly engineDir: string;
  readonly configFile: string;
  /** Whether `--config` named the file, so that it must exist. */
  readonly configFileIsChosen: boolean;
}

export interface ResolveSocketsOptions {
  readonly env: ReadEnv;
  /** The base of relative paths in flags. */
  readonly cwd: string;
  /** `--socket` */
  readonly socket?: string | undefined;
}

export interface ResolvePathsOptions extends ResolveSocketsOptions {
  /** `--config` */
  readonly config?: string | undefined;
}

/**
 * The longest path of a Unix socket, in bytes: `sun_path` has 108 on Linux and 104 on macOS and the BSDs, including the
 * NUL.
 */
export const MAX_SOCKET_PATH_BYTES = Deno.build.os === "linux" ? 107 : 103;

/** @throws {ApexError} `usage` for an invalid environment variable or path */
export function resolveSockets(options: ResolveSocketsOptions): SocketPaths {
  const { env, cwd, socket } = options;
  if (socket === "") throw new ApexError("usage", "--socket: the path is empty (is a variable not set?)");
  const controlSocket = socket !== undefined
    ? resolve(cwd, socket)
    : join(runtimeDirectory(env), CONTROL_SOCKET_NAME);
  const runtimeDir = dirname(controlSocket);
  const sockets: SocketPaths = {
    runtimeDir,
    runtimeDirIsChosen: socket !== undefined,
    controlSocket,
    eventsSocket: join(runtimeDir, EVENTS_SOCKET_NAME),
    engineSocket: join(runtimeDir, ENGINE_SOCKET_NAME),
  };
  refuseUnusableSockets(sockets, socket !== undefined ? "--socket" : runtimeSource(env));
  return sockets;
}

/** @throws {ApexError} `usage` for an invalid environment variable or path */
export function resolvePaths(options: ResolvePathsOptions): Paths {
  const { env, cwd, config } = options;
  if (config === "") throw new ApexError("usage", "--config: the path is empty (is a variable not set?)");
  const sockets = resolveSockets(options);
  const stateDir = stateDirectory(env);
  return {
    ...sockets,
    stateDir,
    engineDir: join(stateDir, "engine"),
    configFile: config !== undefined ? resolve(cwd, config) : defaultConfigFile(env),
    configFileIsChosen: config !== undefined,
  };
}

/**
 * Creates the runtime and the state directory (0700) if necessary, and checks that they belong to this user alone.
 * @throws {ApexError} `failed`, naming the directory, the problem and the remedy
 */
export async function prepareDirectories(paths: Paths): Promise<void> {
  await prepareDirectory(paths.runtimeDir, { isChosen: paths.runtimeDirIsChosen });
  if (paths.stateDir !== paths.runtimeDir) await prepareDirectory(paths.stateDir);
}

/**
 * Creates a directory (0700) if necessary, and checks that it belongs to this user alone. A directory that the user has
 * chosen may be readable, but not writable, by others.
 * @throws {ApexError} `failed`, as {@linkcode prepareDirectories}
 */
export async function prepareDirectory(path: string, { isChosen = false } = {}): Promise<void> {
  const info = await makeAndInspect(path);
  if (info.isSymlink) {
    throw refusal(path, "it is a symbolic link", "remove it, or choose another directory");
  }
  if (!info.isDirectory) throw refusal(path, "it is not a directory", "remove it, or choose another one");
  const uid = Deno.uid();
  if (info.uid !== null && uid !== null && info.uid !== uid) {
    throw refusal(path, `it belongs to user ${info.uid}, not to you (${uid})`, "choose one of your own");
  }
  const mode = (info.mode ?? 0) & 0o7777;
  if ((mode & (isChosen ? 0o022 : 0o077)) !== 0) {
    const octal = mode.toString(8).padStart(4, "0");
    throw refusal(
      path,
      `it is open to other users (its mode is ${octal})`,
      `run: chmod ${isChosen ? "go-w" : "700"} ${path}`,
    );
  }
}

/** @throws {ApexError} `usage` when the kernel does not accept the path; `advice` says what to do */
export function checkSocketPathLength(path: string, advice: string): void {
  const bytes = new TextEncoder().encode(path).length;
  if (bytes <= MAX_SOCKET_PATH_BYTES) return;
  throw new ApexError(
    "usage",
    `${path} is too long for a Unix socket: ${bytes} bytes, ${MAX_SOCKET_PATH_BYTES} at most (${advice})`,
  );
}

const CONTROL_SOCKET_NAME = "apex.socket";
const EVENTS_SOCKET_NAME = "events.socket";
const ENGINE_SOCKET_NAME = "engine.socket";

function runtimeDirectory(env: ReadEnv): string {
  const own = absoluteFromEnv(env, "APEX_RUNTIME_DIR");
  if (own !== undefined) return own;
  const xdg = absoluteFromEnv(env, "XDG_RUNTIME_DIR");
  return xdg !== undefined ? join(xdg, "apex") : join(home(env, "APEX_RUNTIME_DIR"), ".local/run/apex");
}

function runtimeSource(env: ReadEnv): string {
  return ["APEX_RUNTIME_DIR", "XDG_RUNTIME_DIR"].find((name) => env(name)) ?? "HOME";
}

function stateDirectory(env: ReadEnv): string {
  const own = absoluteFromEnv(env, "APEX_STATE_DIR");
  if (own !== undefined) return own;
  const xdg = absoluteFromEnv(env, "XDG_STATE_HOME");
  return join(xdg ?? join(home(env, "APEX_STATE_DIR"), ".local/state"), "apex");
}

function defaultConfigFile(env: ReadEnv): string {
  const xdg = absoluteFromEnv(env, "XDG_CONFIG_HOME");
  return join(xdg ?? join(home(env, "XDG_CONFIG_HOME"), ".config"), "apex/config.toml");
}

/** An empty variable counts as not set, as in the XDG specification. */
function absoluteFromEnv(env: ReadEnv, name: string): string | undefined {
  const value = env(name);
  if (value === undefined || value === "") return undefined;
  if (!value.startsWith("/")) {
    throw new ApexError("usage", `${name} must be an absolute path, not ${JSON.stringify(value)}`);
  }
  return resolve(value);
}

function home(env: ReadEnv, instead: string): string {
  const value = absoluteFromEnv(env, "HOME");
  if (value === undefined) throw new ApexError("usage", `HOME is not set; set it, or ${instead}`);
  return value;
}

function refuseUnusableSockets(paths: SocketPaths, source: string): void {
  if (paths.controlSocket === paths.eventsSocket || paths.controlSocket === paths.engineSocket) {
    throw new ApexError("usage", `${source}: ${paths.controlSocket} is the name of another socket of apex`);
  }
  for (const path of [paths.controlSocket, paths.eventsSocket]) {
    checkSocketPathLength(
      path,
      `it comes from ${source}; choose a shorter directory with APEX_RUNTIME_DIR or --socket`,
    );
  }
}

async function makeAndInspect(path: string): Promise<Deno.FileInfo> {
  try {
    // The last step is not `recursive`: that would accept a link to a directory.
    await Deno.mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw noDirectory(path, error);
  }
  try {
    return await Deno.lstat(path);
  } catch (error) {
    throw noDirectory(path, error);
  }
}

function noDirectory(path: string, cause: unknown): ApexError {
  return new ApexError(
    "failed",
    `cannot create the directory ${path}: ${
      messageOf(cause)
    }; choose another one (APEX_RUNTIME_DIR and --socket for the ` +
      "sockets, APEX_STATE_DIR for the state)",
    { cause },
  );
}

function refusal(path: string, why: string, remedy: string): ApexError {
  return new ApexError("failed", `refusing to use ${path}: ${why}; ${remedy}`);
}
