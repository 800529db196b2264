import { join } from "@std/path/posix";
import { ApexError, messageOf, systemReason } from "./apex_error.ts";
import { settlesWithin } from "./async/wait.ts";

export interface LockFileOptions {
  /** The new content of the file: who holds the lock. */
  readonly record: string;
  /** Called repeatedly while another process holds the lock; throws to give up. */
  readonly whileHeld: () => Promise<void>;
}

/**
 * Locks a file for this process, creating it (0600) if necessary, and writes the record. The kernel releases the lock
 * when the process exits, however it exits, or when the returned file is closed. So the file itself is never unlinked.
 * In Deno 2.4, locking can only block, and cannot be cancelled: when `whileHeld` throws, the attempt remains until the
 * process exits.
 * @throws {ApexError} `failed` when the file cannot be opened or written; what `whileHeld` throws
 */
export async function lockFile(path: string, { record, whileHeld }: LockFileOptions): Promise<Deno.FsFile> {
  try {
    const file = await locked(path, whileHeld);
    writeRecord(file, record);
    return file;
  } catch (cause) {
    if (systemReason(cause) === undefined) throw cause;
    throw new ApexError("failed", `cannot lock ${path}: ${messageOf(cause)}`, { cause });
  }
}

function writeRecord(file: Deno.FsFile, record: string): void {
  try {
    file.truncateSync(0);
    file.writeSync(new TextEncoder().encode(record));
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The interval between two calls of `whileHeld`. */
const POLL_MS = 10;

async function locked(path: string, whileHeld: () => Promise<void>): Promise<Deno.FsFile> {
  const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
  let isLocked = false;
  const locking = file.lock(true).then(() => {
    isLocked = true;
  });
  while (true) {
    if (await settlesWithin(locking, { timeoutMs: POLL_MS })) return file;
    await whileHeld();
    if (isLocked) return file;
  }
}

/**
 * The content of the lock file in a daemon's directories. The lock itself shows whether a daemon runs. The record only
 * names it, and may be left over from a killed daemon.
 */

export interface InstanceRecord {
  readonly pid: number;
  /** The path of its control socket. */
  readonly socket: string;
  /** Its version of apex; absent from older daemons. */
  readonly version?: string;
}

/** Returns the path of a directory's lock file. */
export function instanceLockPath(directory: string): string {
  return join(directory, "apex.lock");
}

/** Reads the record of a lock file; `undefined` when the file does not exist, or its owner has not written it yet. */
export async function readInstanceRecord(path: string): Promise<InstanceRecord | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
