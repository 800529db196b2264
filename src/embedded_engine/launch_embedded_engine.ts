/** Starts the embedded engine as a detached process, which outlives this one. */
import { join } from "@std/path/posix";
import { ApexError, EXIT_STATUS } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { startDetached } from "../platform/detached_process.ts";
import { prepareDirectory } from "../platform/directories.ts";
import { isListenedOn } from "../platform/unix_socket.ts";

const START_TIMEOUT_MS = 10_000;
const POLL_MS = 10;
/** How much of the end of the log an error message shows. */
const MAX_SHOWN_LOG_CHARACTERS = 600;

export interface LaunchEngineOptions {
  /** The engine's own directory; the log is `engine.log` in it. */
  readonly dir: string;
  readonly socketPath: string;
  /** The command that is apex itself: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  readonly startTimeoutMs?: number;
}

/**
 * Starts an engine unless one listens on the socket already. Returns when an engine listens there.
 * @throws {ApexError} `engine` when it exits, or does not answer in time, with the end of its log; `failed` for a directory
 * that other users can write to
 */
export async function launchEmbeddedEngine(options: LaunchEngineOptions): Promise<void> {
  const { dir, socketPath, selfCommand } = options;
  if (await isListenedOn(socketPath)) return;
  await prepareDirectory(dir);
  const logPath = join(dir, "engine.log");
  const command = [...selfCommand, "engine", "--dir", dir, "--listen", socketPath];
  const child = await startDetached({ command, logPath });
  let exited: Deno.CommandStatus | undefined;
  const status = child.status.then((result) => exited = result);
  const deadline = Date.now() + (options.startTimeoutMs ?? START_TIMEOUT_MS);
  while (!(await isListenedOn(socketPath))) {
    const ended = exited;
    // An engine that found the directory busy has exited, and the other engine is about to answer.
    if ((ended !== undefined && ended.code !== EXIT_STATUS.busy) || Date.now() > deadline) {
      const what = ended === undefined ? "does not answer" : `ended with status ${ended.code}`;
      const output = await child.output(MAX_SHOWN_LOG_CHARACTERS);
      throw new ApexError(
        "engine",
        `the embedded engine ${what} (log: ${logPath})${output === "" ? "" : `:\n${output}`}`,
      );
    }
    await settlesWithin(ended === undefined ? status : NEVER, { timeoutMs: POLL_MS });
  }
}

/** After the exit of the child, only the answer of the other engine is waited for. */
const NEVER = new Promise<never>(() => {});
