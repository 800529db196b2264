/**
 * What a daemon writes into the lock file of its directories. The lock itself says whether one runs; the record only says
 * which, and may be that of a daemon that was killed.
 */
import { join } from "@std/path/posix";

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
