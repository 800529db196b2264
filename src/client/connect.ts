import { delay } from "@std/async/delay";
import { ApexError, messageOf } from "../platform/apex_error.ts";

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects to one of the daemon's sockets.
 *
 * @throws {ApexError} `no_daemon` when nobody listens there; `timeout` when the daemon does not get round to accepting. The
 * signal's reason when that is aborted.
 */
export async function connect(socketPath: string, options: ConnectOptions = {}): Promise<Deno.UnixConn> {
  const { signal } = options;
  for (let waitedMs = 0; waitedMs < BUSY_TIMEOUT_MS; waitedMs += BUSY_PAUSE_MS) {
    signal?.throwIfAborted();
    try {
      const conn = await Deno.connect({ transport: "unix", path: socketPath });
      if (!signal?.aborted) return conn;
      // Aborted meanwhile: whoever listens for that now would never hear of it.
      conn.close();
    } catch (error) {
      // The listener's backlog is full: the daemon lives and will accept.
      if (!(error instanceof Deno.errors.WouldBlock)) throw connectError(socketPath, error);
    }
    signal?.throwIfAborted();
    await delay(BUSY_PAUSE_MS, signal && { signal });
  }
  throw new ApexError(
    "timeout",
    `the daemon at ${socketPath} accepts no connection (tried for ${
      BUSY_TIMEOUT_MS / 1000
    } s); see: apex status`,
  );
}

/** Some thousand connections are accepted in this time; the daemon drains a whole backlog in a few of them. */
const BUSY_PAUSE_MS = 10;
const BUSY_TIMEOUT_MS = 10_000;

/** Of what has the path of the socket: the system only says that nobody listens. Undefined for a socket, and for none. */
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
  // A daemon that was killed leaves its socket behind: nobody listens on it.
  // One that is ending resets who comes at that moment.
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
    const found = cause instanceof Deno.errors.NotFound ? "no socket" : "nobody listens";
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
