/**
 * Where apex keeps what: sockets in a runtime directory, what must survive in a state directory, configuration in a
 * file. {@linkcode resolvePaths} only computes; {@linkcode prepareDirectories} makes the directories, and refuses those
 * in which somebody else could reach the sockets. Clients only resolve.
 */
import { dirname, join, resolve } from "@std/path/posix";
import { ApexError, messageOf } from "./apex_error.ts";

/** Reads one environment variable. `Deno.env.get`, unless a test brings its own. */
export type ReadEnv = (name: string) => string | undefined;

/** Where the sockets are; all a client needs to know. Absolute paths. */
export interface SocketPaths {
  /** Holds the sockets; 0700 when apex makes it. */
  readonly runtimeDir: string;
  /** Set where the runtime directory came from `--socket`: then it may be readable, but not writable, by others. */
  readonly runtimeDirIsChosen: boolean;
  readonly controlSocket: string;
  /** Always beside the control socket. */
  readonly eventsSocket: string;
  /** Where the embedded engine listens; beside them. */
  readonly engineSocket: string;
}

/** Every path that apex opens by itself; all absolute. */
export interface Paths extends SocketPaths {
  /** Holds the database, the lock and the log; 0700. */
  readonly stateDir: string;
  /** Where the embedded engine keeps its containers. */
  readonly engineDir: string;
  readonly configFile: string;
  /** The file was named with `--config`, so it must be there. */
  readonly configFileIsChosen: boolean;
}

export interface ResolveSocketsOptions {
  readonly env: ReadEnv;
  /** Against which relative paths of flags are taken. */
  readonly cwd: string;
  /** `--socket` */
  readonly socket?: string | undefined;
}

export interface ResolvePathsOptions extends ResolveSocketsOptions {
  /** `--config` */
  readonly config?: string | undefined;
}

/**
 * The longest path that the kernel takes for a Unix socket, in bytes: `sun_path` holds 108 on Linux and 104 on macOS
 * and the BSDs, and Deno wants room for the NUL.
 */
export const MAX_SOCKET_PATH_BYTES = Deno.build.os === "linux" ? 107 : 103;

/** @throws {ApexError} `usage`, for an environment variable or a path that makes no sense. */
export function resolveSockets(options: ResolveSocketsOptions): SocketPaths {
  const { env, cwd, socket } = options;
  if (socket === "") throw new ApexError("usage", "--socket: the path is empty; is a variable not set?");
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

/** @throws {ApexError} `usage`, for an environment variable or a path that makes no sense. */
export function resolvePaths(options: ResolvePathsOptions): Paths {
  const { env, cwd, config } = options;
  if (config === "") throw new ApexError("usage", "--config: the path is empty; is a variable not set?");
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
 * Makes the runtime and the state directory where they are missing (0700), and checks that they are this user's own.
 *
 * @throws {ApexError} `failed`, naming the directory, what is wrong with it and what to do.
 */
export async function prepareDirectories(paths: Paths): Promise<void> {
  await prepareDirectory(paths.runtimeDir, { isChosen: paths.runtimeDirIsChosen });
  if (paths.stateDir !== paths.runtimeDir) await prepareDirectory(paths.stateDir);
}

/**
 * Makes a directory if it is missing (0700), and checks that it is this user's own. One that somebody has chosen may be
 * readable, but not writable, by others.
 *
 * @throws {ApexError} `failed`, as {@linkcode prepareDirectories}.
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

/** @throws {ApexError} `usage` for a path that the kernel does not take; `advice` says what to do */
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

/** A variable that is set but empty counts as not set, as the XDG specification has it. */
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
    // Not `recursive` for the last step: it would take a link to a directory for the directory.
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
