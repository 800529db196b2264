import { systemClock } from "../../src/platform/clock.ts";

/** A daemon that a test starts for itself and ends by its own pid. */
export interface OwnDaemon extends AsyncDisposable {
  readonly pid: number;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface OwnDaemonOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  /** Where its stderr goes; the end of it is in the error when it does not get ready. */
  readonly logPath: string;
  /** Rejects for as long as it is not. */
  readonly isReady: () => Promise<unknown>;
}

const READY_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 10_000;

export async function ownDaemon(options: OwnDaemonOptions): Promise<OwnDaemon> {
  // Its stderr is a file, not a pipe: what it leaves behind when it is killed would hold a pipe open.
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

  async function end(): Promise<void> {
    if (!hasEnded) child.kill("SIGTERM");
    const cancel = systemClock.after(ENDS_WITHIN_MS, () => child.kill("SIGKILL"));
    await ended;
    cancel();
  }

  for (const startedAt = Date.now();;) {
    try {
      await options.isReady();
      return { pid: child.pid, [Symbol.asyncDispose]: end };
    } catch (cause) {
      if (hasEnded || Date.now() - startedAt > READY_WITHIN_MS) {
        await end();
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
