import { join } from "@std/path/posix";
import { ApexError, messageOf, systemReason } from "./apex_error.ts";
import { settlesWithin } from "./async/wait.ts";

export interface LockFileOptions {
  /** What the file then says of its owner. */
  readonly record: string;
  /** Called again and again as long as another process has the lock; throws to give up. */
  readonly whileHeld: () => Promise<void>;
}

/**
 * Locks a file for this process, creating it (0600) if need be, and writes who has it. The kernel frees it with the
 * process, however that ends, or when the returned file is closed; so the file itself is never unlinked.
 *
 * Deno 2.4 can only wait for a lock, and a wait cannot be cancelled: when `whileHeld` throws, the wait is left behind, and
 * only the end of the process ends it.
 *
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

/** Between two looks at whoever holds the lock. */
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
 * What a daemon writes into the lock file of its directories. The lock itself says whether one runs; the record only says
 * which, and may be that of a daemon that was killed.
 */

export interface InstanceRecord {
  readonly pid: number;
  /** Its control socket. */
  readonly socket: string;
  /** Its version of apex; absent from older daemons. */
  readonly version?: string;
}

/** Path of a directory's lock file. */
export function instanceLockPath(directory: string): string {
  return join(directory, "apex.lock");
}

/** The record in a lock file; `undefined` where there is none, or its owner has not yet written it. */
export async function readInstanceRecord(path: string): Promise<InstanceRecord | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
