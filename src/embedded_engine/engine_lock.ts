/**
 * One engine for each directory, and for each socket. The engine of a directory holds its lock file, which contains its pid
 * and its socket. A refusal names the engine that has the directory or the socket.
 */
import { join } from "@std/path/posix";
import { EngineClient } from "../engine/engine_client.ts";
import { EngineError } from "../engine/http/engine_error.ts";
import { ApexError } from "../platform/apex_error.ts";
import { Deadline } from "../platform/async/deadline.ts";
import { lockFile } from "../platform/lock_file.ts";
import { isListenedOn, SocketFile } from "../platform/unix_socket.ts";

/** Name of the lock file in the engine's directory. */
export const LOCK_FILE = "lock";

/** An engine that starts listens some milliseconds after it has locked the file. One that takes longer hangs. */
const LOCK_TIMEOUT_MS = 10_000;
/** For asking the process that has the socket what it is. The answer is only used in an error message. */
const ASK_TIMEOUT_MS = 1_000;

/** The content of a lock file. */
export interface LockHolder {
  readonly pid: number;
  readonly socketPath: string;
}

/**
 * Locks the engine directory. Closing the file releases the lock.
 * @throws {ApexError} `busy` when an engine runs there. A wait for the lock may then remain, and only ends with this
 * process, so the caller should exit.
 */
export async function lockEngine(lockPath: string, socketPath: string): Promise<Deno.FsFile> {
  const deadline = Date.now() + LOCK_TIMEOUT_MS;
  const whileHeld = async (): Promise<void> => {
    const holder = await readLockHolder(lockPath);
    if (holder !== undefined && await isListenedOn(holder.socketPath)) {
      throw new ApexError(
        "busy",
        `an embedded engine (pid ${holder.pid}) already runs at ${holder.socketPath}; ` +
          `end it (kill ${holder.pid}), or choose another directory and socket with --dir and --listen`,
      );
    }
    if (Date.now() > deadline) {
      throw new ApexError(
        "busy",
        `another process holds the lock ${lockPath}, but none listens on ${socketPath}; ` +
          `find it (fuser ${lockPath}) and end it`,
      );
    }
  };
  return await lockFile(lockPath, { record: `${Deno.pid}\n${socketPath}\n`, whileHeld });
}

/** The engine that holds the lock, or held it last; undefined when none is known. */
export async function readLockHolder(lockPath: string): Promise<LockHolder | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(lockPath);
  } catch (error) {
    // No engine has run there, or the file belongs to another user.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return undefined;
    }
    throw error;
  }
  const [, pid, socketPath] = /^([1-9]\d*)\n(.+)\n$/.exec(text) ?? [];
  return pid === undefined || socketPath === undefined ? undefined : { pid: Number(pid), socketPath };
}

/**
 * Listens on the engine's socket. The socket file of an engine that crashed is replaced.
 * @throws {ApexError} `busy` when another process listens there; `usage` when the file is not a socket
 */
export async function listenForEngine(socketPath: string): Promise<SocketFile> {
  try {
    return await SocketFile.listen(socketPath);
  } catch (cause) {
    if (!(cause instanceof ApexError) || cause.code !== "busy") throw cause;
    throw new ApexError("busy", `cannot listen on ${socketPath}: ${await describeListener(socketPath)}`, {
      cause,
    });
  }
}

/** Describes the process that listens, and what to do. */
async function describeListener(socketPath: string): Promise<string> {
  using deadline = new Deadline(ASK_TIMEOUT_MS);
  using client = new EngineClient({ socketPath });
  const { abortSignal: abort } = deadline;
  try {
    const { kind } = await client.identify(abort);
    if (kind !== "embedded") return `${kind} already listens there; choose another socket with --listen`;
    const reply = await client.request("GET", "/info", { abort });
    const { DockerRootDir: dir } = await reply.json() as { DockerRootDir: string };
    const holder = await readLockHolder(join(dir, LOCK_FILE));
    if (holder?.socketPath !== socketPath) {
      return `the embedded engine of ${dir} already listens there; end it, or choose another socket with --listen`;
    }
    return `the embedded engine of ${dir} (pid ${holder.pid}) already listens there; ` +
      `end it (kill ${holder.pid}), or choose another socket with --listen`;
  } catch (error) {
    // It speaks another protocol, or did not answer in time.
    if (!(error instanceof EngineError || abort.aborted)) throw error;
    return "another program already listens there; end it, or choose another socket with --listen";
  }
}
