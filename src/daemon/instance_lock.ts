/**
 * Ensures that at most one daemon uses a runtime directory or a state directory. Each directory contains `apex.lock`, a file
 * that is locked with flock and never unlinked. The kernel frees the lock however its owner ends, so a `kill -9` leaves nothing
 * that blocks the next start.
 *
 * While another daemon holds the lock, it is asked for its status: it has written its pid and its control socket to the file. A
 * process that does not get the lock must exit ({@linkcode lockFile} explains why).
 */
import { ApexError } from "../platform/apex_error.ts";
import {
  instanceLockPath,
  type InstanceRecord,
  lockFile,
  readInstanceRecord,
} from "../platform/lock_file.ts";
import { VERSION } from "../protocol/version.ts";

export interface InstanceLockOptions {
  /** Directories to lock. Every daemon locks them in the same order, so that two never wait for each other. */
  readonly directories: readonly string[];
  /** The control socket of this daemon. */
  readonly controlSocket: string;
  /** The status of the daemon on a control socket; undefined if no daemon answers. */
  readonly askStatus: (controlSocket: string) => Promise<{ readonly pid: number } | undefined>;
  /** How long the owner of a lock may take to answer, in milliseconds. */
  readonly timeoutMs?: number;
}

/** A daemon that holds the lock and does not answer for this time hangs. */
const DEFAULT_TIMEOUT_MS = 10_000;

export class InstanceLock implements Disposable {
  readonly #files: Deno.FsFile[] = [];

  private constructor() {}

  /**
   * Locks every directory for this process, before anything else is changed.
   *
   * @throws {ApexError} `busy` if another daemon holds one of the locks (the message names its pid and socket), or holds it and
   * does not answer. A lock may then still be pending: exit. `failed` if a lock file cannot be written.
   */
  static async acquire(options: InstanceLockOptions): Promise<InstanceLock> {
    const lock = new InstanceLock();
    const seen = new Set<string>();
    for (const directory of options.directories) {
      const path = instanceLockPath(await Deno.realPath(directory));
      if (seen.has(path)) continue;
      seen.add(path);
      const holder: InstanceRecord = { pid: Deno.pid, socket: options.controlSocket, version: VERSION };
      const record = `${JSON.stringify(holder)}\n`;
      lock.#files.push(await lockFile(path, { record, whileHeld: ownerSearch(path, options) }));
    }
    return lock;
  }

  /** Frees the locks, last first. The files stay: unlinking one would let two processes each lock "the" file. */
  [Symbol.dispose](): void {
    for (const file of this.#files.splice(0).reverse()) file.close();
  }
}

/** Throws when the owner of the lock is found, or has not answered for too long. */
function ownerSearch(path: string, options: InstanceLockOptions): () => Promise<void> {
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  return async () => {
    const holder = await readInstanceRecord(path);
    for (const socket of new Set([options.controlSocket, holder?.socket])) {
      const status = socket === undefined ? undefined : await options.askStatus(socket);
      // A record may be stale, and its socket may belong to another daemon now: only the pid proves which one answers.
      if (status && (socket === options.controlSocket || status.pid === holder?.pid)) {
        throw new ApexError(
          "busy",
          `a daemon is already running (pid ${status.pid}, socket ${socket}); to end it: apex stop`,
        );
      }
    }
    if (performance.now() > deadline) {
      const owner = holder ? `pid ${holder.pid}` : "an unknown process";
      throw new ApexError("busy", `${path} is held by ${owner}, which does not answer; end it and try again`);
    }
  };
}
