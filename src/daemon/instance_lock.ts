/**
 * One daemon a runtime directory and one a state directory. Each directory holds `apex.lock`, an flock'ed file that is
 * never unlinked: the kernel frees it however its owner ends, so a `kill -9` leaves nothing that blocks the next start.
 *
 * While somebody else has the lock, the owner is looked for: whoever holds it wrote its pid and control socket into the
 * file and answers there. Whoever loses leaves by ending the process ({@linkcode lockFile} says why).
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
  /** Directories to lock, in this order for every daemon, so that two never wait for each other. */
  readonly directories: readonly string[];
  /** Control socket of the daemon that asks. */
  readonly controlSocket: string;
  /** Asks the daemon behind a control socket who it is; `undefined` when none answers. */
  readonly askStatus: (controlSocket: string) => Promise<{ readonly pid: number } | undefined>;
  /** How long an owner may take to answer, in milliseconds. */
  readonly timeoutMs?: number;
}

/** A daemon that holds the lock and answers to nobody for this long is hanging. */
const DEFAULT_TIMEOUT_MS = 10_000;

export class InstanceLock implements Disposable {
  readonly #files: Deno.FsFile[] = [];

  private constructor() {}

  /**
   * Locks every directory for this process, or fails while nothing is changed.
   *
   * @throws {ApexError} `busy`: another daemon has one of them (the message names its pid and socket), or holds the
   * lock and does not answer. A lock may then still be pending: end the process. `failed` when a lock file cannot be
   * written.
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

/** Throws once the owner of the lock has been found, or has not answered for too long. */
function ownerSearch(path: string, options: InstanceLockOptions): () => Promise<void> {
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  return async () => {
    const holder = await readInstanceRecord(path);
    for (const socket of new Set([options.controlSocket, holder?.socket])) {
      const status = socket === undefined ? undefined : await options.askStatus(socket);
      // A record may be stale and its socket another daemon's by now: only the pid proves who answers.
      if (status && (socket === options.controlSocket || status.pid === holder?.pid)) {
        throw new ApexError(
          "busy",
          `a daemon already runs (pid ${status.pid}, socket ${socket}); to end it: apex stop`,
        );
      }
    }
    if (performance.now() > deadline) {
      const who = holder ? `pid ${holder.pid}` : "an unknown process";
      throw new ApexError("busy", `${path} is held by ${who}, which does not answer; end it and try again`);
    }
  };
}
