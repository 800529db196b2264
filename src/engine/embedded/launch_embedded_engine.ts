/** Starts the embedded engine as a process of its own that outlives this one, unless one runs already. */
import { join } from "@std/path/posix";
import { ApexError, EXIT_STATUS, messageOf } from "../../platform/apex_error.ts";
import { prepareDirectory } from "../../platform/directories.ts";
import { isListenedOn } from "../../platform/socket_file.ts";
import { waitWithin } from "./wait_within.ts";

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 10;
/** How much of the end of its log an error message shows. */
const MAX_SHOWN_LOG_CHARACTERS = 600;
/** Keeps descriptors plentiful (a compiled binary does not raise its limit) and appends what it says to a log. */
const LAUNCH_SCRIPT = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$0" "$@" >>"$APEX_ENGINE_LOG" 2>&1';

export interface LaunchEngineOptions {
  /** The engine's own directory; the log is `engine.log` in it. */
  readonly dir: string;
  readonly socketPath: string;
  /** The command that is apex itself: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  readonly signal?: AbortSignal;
  readonly startTimeoutMs?: number;
}

/**
 * Returns once an engine answers on the socket.
 * @throws {ApexError} `engine` when it ends at once, or does not answer in time, with the end of its log; `failed` for a
 * directory that somebody else could reach
 */
export async function launchEmbeddedEngine(options: LaunchEngineOptions): Promise<void> {
  const { dir, socketPath, signal } = options;
  if (await isListenedOn(socketPath)) return;
  await prepareDirectory(dir);
  const logPath = join(dir, "engine.log");
  const logStart = await sizeOf(logPath);
  const child = spawnDetached(options, logPath);
  let exited: Deno.CommandStatus | undefined;
  const status = child.status.then((result) => exited = result);
  const deadline = Date.now() + (options.startTimeoutMs ?? START_TIMEOUT_MS);
  while (!(await isListenedOn(socketPath))) {
    signal?.throwIfAborted();
    const ended = exited;
    // One that found another engine already there has ended, and that other one is about to answer.
    if ((ended !== undefined && ended.code !== EXIT_STATUS.busy) || Date.now() > deadline) {
      const what = ended === undefined ? "does not answer" : `ended with status ${ended.code}`;
      throw new ApexError(
        "engine",
        `the embedded engine ${what} (log: ${logPath})${await endOfLog(logPath, logStart)}`,
      );
    }
    await waitWithin(POLL_MS, ended === undefined ? status : NEVER);
  }
}

/** Of an engine that has ended there is nothing more to wait for but the other one's answer. */
const NEVER = new Promise<never>(() => {});

function spawnDetached(
  { selfCommand, dir, socketPath }: LaunchEngineOptions,
  logPath: string,
): Deno.ChildProcess {
  try {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", LAUNCH_SCRIPT, ...selfCommand, "engine", "--dir", dir, "--listen", socketPath],
      env: { APEX_ENGINE_LOG: logPath },
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    child.unref();
    return child;
  } catch (cause) {
    throw new ApexError("engine", `cannot start the embedded engine: ${messageOf(cause)}`, { cause });
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function endOfLog(path: string, from: number): Promise<string> {
  try {
    const written = new TextDecoder().decode((await Deno.readFile(path)).subarray(from)).trim();
    return written === "" ? "" : `:\n${written.slice(-MAX_SHOWN_LOG_CHARACTERS)}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
