import { Deadline } from "../../../src/platform/async/deadline.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { within } from "../within.ts";

/** A daemon process that a test starts, and ends by its pid. */
export interface OwnDaemon extends AsyncDisposable {
  readonly pid: number;
  /** Kills the daemon. */
  kill(): Promise<void>;
  /** Asks the daemon to end, and kills it if it does not. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface OwnDaemonOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  /** The file for its stderr, whose end is in the error if the daemon does not become ready. */
  readonly logPath: string;
  /** Rejects while the daemon is not ready, and when the signal aborts. */
  readonly isReady: (signal: AbortSignal) => Promise<unknown>;
}

const READY_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 10_000;
/** SIGKILL takes effect late if the process is in the kernel. */
const DIES_WITHIN_MS = 10_000;

export async function ownDaemon(options: OwnDaemonOptions): Promise<OwnDaemon> {
  // Its stderr is a file: a killed daemon leaves processes behind that would keep a pipe open.
  const child = new Deno.Command("sh", {
    args: ["-c", 'exec "$0" "$@" 2>>"$OWN_DAEMON_LOG"', options.command, ...options.args],
    env: { ...options.env, OWN_DAEMON_LOG: options.logPath },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let hasEnded = false;
  const ended = child.status.then((status) => {
    hasEnded = true;
    return status;
  });

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (!hasEnded) child.kill(signal);
    const cancel = systemClock.after(ENDS_WITHIN_MS, () => child.kill("SIGKILL"));
    try {
      await within(
        ENDS_WITHIN_MS + DIES_WITHIN_MS,
        `the end of ${options.command} (pid ${child.pid})`,
        ended,
      );
    } finally {
      cancel();
    }
  }

  using limit = new Deadline(READY_WITHIN_MS);
  while (true) {
    try {
      await options.isReady(limit.abortSignal);
      return { pid: child.pid, kill: () => end("SIGKILL"), [Symbol.asyncDispose]: () => end("SIGTERM") };
    } catch (cause) {
      if (hasEnded || limit.abortSignal.aborted) {
        await end("SIGTERM");
        const said = (await Deno.readTextFile(options.logPath)).slice(-2_000);
        throw new Error(`${options.command} did not get ready:\n${said}`, { cause });
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export async function isInstalled(command: string): Promise<boolean> {
  const found = await new Deno.Command("sh", { args: ["-c", 'command -v "$0"', command], stdout: "null" })
    .output();
  return found.success;
}
