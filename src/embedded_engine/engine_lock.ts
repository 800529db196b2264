/** One engine a directory: whoever holds its lock file, in which stand its pid and its socket. */
import { ApexError } from "../platform/apex_error.ts";
import { lockFile } from "../platform/lock_file.ts";
import { isListenedOn } from "../platform/unix_socket.ts";

/** Name of the lock file within the engine's directory. */
export const LOCK_FILE = "lock";

/** An owner that holds the lock but does not listen yet needs milliseconds; one that hangs should be told of. */
const LOCK_TIMEOUT_MS = 10_000;

/** What an engine says of itself in its lock file. */
export interface LockHolder {
  readonly pid: number;
  readonly socketPath: string;
}

/**
 * Takes the lock of the engine directory; close the file to give it back.
 * @throws {ApexError} `busy` when an engine lives there. A wait for the lock may then be left behind, which only the end
 * of the process takes away: the caller should exit.
 */
export async function lockEngine(lockPath: string, socketPath: string): Promise<Deno.FsFile> {
  const deadline = Date.now() + LOCK_TIMEOUT_MS;
  const whileHeld = async (): Promise<void> => {
    const holder = await readLockHolder(lockPath);
    if (holder !== undefined && await isListenedOn(holder.socketPath)) {
      throw new ApexError(
        "busy",
        `an embedded engine (pid ${holder.pid}) already runs at ${holder.socketPath}; ` +
          `end it (kill ${holder.pid}), or give this one a --dir and a --listen of its own`,
      );
    }
    if (Date.now() > deadline) {
      throw new ApexError(
        "busy",
        `the embedded engine's lock ${lockPath} is held, but nobody answers at ${socketPath}; ` +
          `see who has it (fuser ${lockPath}) and end that`,
      );
    }
  };
  return await lockFile(lockPath, { record: `${Deno.pid}\n${socketPath}\n`, whileHeld });
}

/** Who holds the lock, or held it last; undefined where that has not been written. */
export async function readLockHolder(lockPath: string): Promise<LockHolder | undefined> {
  let text: string;
  try {
    text = await Deno.readTextFile(lockPath);
  } catch (error) {
    // There is none, or it is not ours to read: nothing is known.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return undefined;
    }
    throw error;
  }
  const [, pid, socketPath] = /^([1-9]\d*)\n(.+)\n$/.exec(text) ?? [];
  return pid === undefined || socketPath === undefined ? undefined : { pid: Number(pid), socketPath };
}
