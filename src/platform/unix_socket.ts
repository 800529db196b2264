/**
 * Unix sockets: a listening socket and its file, and helpers for connections. The file is created with mode 0600. It is
 * taken over only when no process listens on it, and unlinked only while it is still ours.
 */
import { delay } from "@std/async/delay";
import { ApexError, messageOf } from "./apex_error.ts";
import type { Logger } from "./logger.ts";

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
   * Listens on `path`, replacing the socket file of a dead daemon.
   * @throws {ApexError} `busy` when another process listens there, `usage` when the path is not a socket, `failed` when
   *   the system refuses
   */
  static async listen(path: string): Promise<SocketFile> {
    await removeStale(path);
    const listener = listenPrivately(path);
    return new SocketFile(path, listener, (await Deno.lstat(path)).ino);
  }

  /** Removes the file if it is still the one created here. The listener stays open. */
  async unlink(): Promise<void> {
    try {
      if ((await Deno.lstat(this.path)).ino === this.#inode) await Deno.remove(this.path);
    } catch (error) {
      // Already removed, for example by a clean-up of the directory.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** `Deno.listen` has no mode option, so the umask sets the mode; all within one turn of the event loop. */
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

/** Whether a process listens on that Unix socket. */
export async function isListenedOn(path: string): Promise<boolean> {
  try {
    using _conn = await Deno.connect({ transport: "unix", path });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return false;
    // The listener is just being closed.
    if (error instanceof Deno.errors.ConnectionReset) return false;
    // The backlog of a living listener is full.
    if (error instanceof Deno.errors.WouldBlock) return true;
    throw error;
  }
}

/** Writes all of `bytes`: a single write may take only a part of them. */
export async function writeAll(
  conn: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

/** Closes a connection, listener or file that may already be closed. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

const DISCARD_BYTES = 64 * 1024;

/**
 * Ends our side, then reads and drops what the peer still sends. Closing a Unix socket with unread input resets it, and the
 * peer would lose the reply.
 */
export async function discardRest(conn: Deno.UnixConn): Promise<void> {
  await conn.closeWrite();
  const discarded = new Uint8Array(DISCARD_BYTES);
  for (let count: number | null = 0; count !== null;) count = await conn.read(discarded);
}

/** Options of {@linkcode acceptLoop}. */

export interface AcceptLoopOptions {
  readonly listener: Deno.UnixListener;
  /** Called for each connection, in the order of the backlog, before the next one is accepted. */
  readonly onConnection: (conn: Deno.UnixConn) => void;
  readonly logger: Logger;
}

/** `accept` fails immediately while no descriptors are free; without a delay the loop would spin. */
const BACK_OFF_MS = 50;

/**
 * Accepts connections until the listener is closed; never rejects. When the process has run out of descriptors, the
 * loop backs off and continues as soon as one is free.
 */
export async function acceptLoop({ listener, onConnection, logger }: AcceptLoopOptions): Promise<void> {
  let failing = false;
  while (true) {
    try {
      onConnection(await listener.accept());
      failing = false;
    } catch (error) {
      if (isListenerClosed(error)) return;
      if (!failing) logger.warn(`cannot accept connections for now: ${messageOf(error)}`);
      failing = true;
      await delay(BACK_OFF_MS);
    }
  }
}

/** `Interrupted` when the listener is closed during an accept, `BadResource` when it was closed before. */
function isListenerClosed(error: unknown): boolean {
  return error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource;
}
