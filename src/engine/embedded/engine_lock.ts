/** One engine a directory: whoever holds its lock file, in which its pid stands. */
import { ApexError } from "../../platform/apex_error.ts";
import { lockFile } from "../../platform/file_lock.ts";

/** An owner that holds the lock but does not listen yet needs milliseconds; one that hangs should be told of. */
const LOCK_TIMEOUT_MS = 10_000;

/**
 * Takes the lock of the engine directory; close the file to give it back.
 * @throws {ApexError} `busy` when an engine lives there. A wait for the lock may then be left behind, which only the end
 * of the process takes away: the caller should exit.
 */
export async function lockEngine(lockPath: string, socketPath: string): Promise<Deno.FsFile> {
  const deadline = Date.now() + LOCK_TIMEOUT_MS;
  const file = await lockFile(lockPath, async () => {
    if (await answers(socketPath)) {
      throw new ApexError("busy", `an embedded engine already runs at ${socketPath}`);
    }
    if (Date.now() > deadline) {
      throw new ApexError(
        "busy",
        `the embedded engine's lock ${lockPath} is held, but nobody answers at ${socketPath}`,
      );
    }
  });
  await file.truncate(0);
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  return file;
}

/** Whether something accepts connections on that Unix socket. */
export async function answers(socketPath: string): Promise<boolean> {
  try {
    using _connection = await Deno.connect({ transport: "unix", path: socketPath });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return false;
    // The queue of a living listener is full.
    if (error instanceof Deno.errors.WouldBlock) return true;
    throw error;
  }
}
