/**
 * A listening Unix socket and the file it is reached by. The file is created 0600, taken over only from a listener that
 * is proven dead, and unlinked at the end only while it is still ours.
 */
import { ApexError, messageOf } from "./apex_error.ts";

export class SocketFile {
  readonly path: string;
  readonly listener: Deno.UnixListener;
  readonly #inode: number | null;

  private constructor(path: string, listener: Deno.UnixListener, inode: number | null) {
    this.path = path;
    this.listener = listener;
    this.#inode = inode;
  }

  /**
   * Binds `path`, over a dead daemon's leftover if there is one.
   *
   * @throws {ApexError} `busy` when somebody listens there, `usage` when something other than a socket is there, `failed` when
   * the system refuses.
   */
  static async listen(path: string): Promise<SocketFile> {
    await removeStale(path);
    const listener = listenPrivately(path);
    return new SocketFile(path, listener, (await Deno.lstat(path)).ino);
  }

  /** Removes the file if it is still the one that was bound here. The listener stays open. */
  async unlink(): Promise<void> {
    try {
      if ((await Deno.lstat(this.path)).ino === this.#inode) await Deno.remove(this.path);
    } catch (error) {
      // Somebody cleaned up the directory; gone is what was wanted.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** `Deno.listen` has no mode option, so the socket gets its mode from the umask; all in one turn of the loop. */
function listenPrivately(path: string): Deno.UnixListener {
  const before = Deno.umask(0o177);
  try {
    return Deno.listen({ transport: "unix", path });
  } catch (cause) {
    throw new ApexError("failed", `cannot listen on ${path}: ${messageOf(cause)}`, { cause });
  } finally {
    Deno.umask(before);
  }
}

async function removeStale(path: string): Promise<void> {
  try {
    if (!(await Deno.lstat(path)).isSocket) {
      throw new ApexError(
        "usage",
        `cannot listen on ${path}: it exists and is not a socket; move it away, or use another path`,
      );
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (await isListenedOn(path)) {
    throw new ApexError(
      "busy",
      `cannot listen on ${path}: another process already does; end it, or use another path`,
    );
  }
  await Deno.remove(path);
}

/** Whether somebody listens on that Unix socket. */
export async function isListenedOn(path: string): Promise<boolean> {
  try {
    using _conn = await Deno.connect({ transport: "unix", path });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return false;
    // Its listener is being closed this moment.
    if (error instanceof Deno.errors.ConnectionReset) return false;
    // The queue of a living listener is full.
    if (error instanceof Deno.errors.WouldBlock) return true;
    throw error;
  }
}
