import { delay } from "@std/async/delay";
import { ApexError, messageOf } from "../platform/apex_error.ts";

export interface ConnectOptions {
  readonly abort?: AbortSignal | undefined;
}

/**
 * Connects to one of the daemon's sockets.
 *
 * @throws {ApexError} `no_daemon` if no daemon listens there; `timeout` if the daemon does not accept in 10 s
 * @throws the reason of `abort` when it is aborted
 */
export async function connect(socketPath: string, options: ConnectOptions = {}): Promise<Deno.UnixConn> {
  const { abort } = options;
  for (let waitedMs = 0; waitedMs < BUSY_TIMEOUT_MS; waitedMs += BUSY_PAUSE_MS) {
    abort?.throwIfAborted();
    try {
      const conn = await Deno.connect({ transport: "unix", path: socketPath });
      if (!abort?.aborted) return conn;
      // Aborted during the connect: a listener that the caller adds now would not be called.
      conn.close();
    } catch (error) {
      // The listener's backlog is full: the daemon runs, and will accept.
      if (!(error instanceof Deno.errors.WouldBlock)) throw connectError(socketPath, error);
    }
    abort?.throwIfAborted();
    await delay(BUSY_PAUSE_MS, abort && { signal: abort });
  }
  throw new ApexError(
    "timeout",
    `the daemon at ${socketPath} accepts no connection (tried for ${
      BUSY_TIMEOUT_MS / 1000
    } s); see: apex status`,
  );
}

/** The daemon accepts a thousand connections in this time, and a whole backlog in a few of these pauses. */
const BUSY_PAUSE_MS = 10;
const BUSY_TIMEOUT_MS = 10_000;

/** What the path is, if it is not a socket: the system's error does not say so. Undefined for a socket or a missing file. */
function kindOf(path: string): string | undefined {
  try {
    const { isSocket, isDirectory } = Deno.lstatSync(path);
    return isSocket ? undefined : isDirectory ? "a directory" : "a file";
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function connectError(socketPath: string, cause: unknown): ApexError {
  // A daemon that was killed leaves its socket behind. A daemon that is ending resets new connections.
  if (
    cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.ConnectionRefused ||
    cause instanceof Deno.errors.ConnectionReset
  ) {
    const kind = kindOf(socketPath);
    if (kind !== undefined) {
      return new ApexError("usage", `cannot connect to ${socketPath}: it is ${kind}, not a socket`, {
        cause,
      });
    }
    const found = cause instanceof Deno.errors.NotFound ? "no socket" : "no process listens";
    return new ApexError(
      "no_daemon",
      `no daemon is running (${found} at ${socketPath}); start one with: apex daemon`,
      { cause },
    );
  }
  return new ApexError(
    "failed",
    `cannot connect to ${socketPath}: ${messageOf(cause)} (see: --socket, APEX_RUNTIME_DIR)`,
    { cause },
  );
}
