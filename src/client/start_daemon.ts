/** Starts a daemon as a process of its own that outlives its starter, whatever becomes of that one's terminal. */
import { join } from "@std/path/posix";
import { ApexError, EXIT_STATUS, messageOf } from "../platform/apex_error.ts";
import { type Paths, prepareDirectory } from "../platform/directories.ts";
import { request } from "./request.ts";

export interface StartDaemonOptions {
  /** The command that is apex itself: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  /** Further arguments of `apex daemon`. */
  readonly flags: readonly string[];
  /** Of the daemon that is started: where it will answer, and where its log goes. */
  readonly paths: Pick<Paths, "controlSocket" | "stateDir">;
  readonly signal?: AbortSignal;
  /** Until it answers, in milliseconds; 15 s by default. */
  readonly timeoutMs?: number;
}

/** The daemon that answers now. */
export interface StartedDaemon {
  readonly pid: number;
  /** What a daemon that was started like this says, one after another. */
  readonly logPath: string;
  /** It is the one that was started here; false when somebody else's was there first. */
  readonly isOurs: boolean;
}

/**
 * Returns once a daemon answers on the control socket. Several may start one at the same time: one daemon remains, and all
 * of them get it.
 *
 * @throws {ApexError} `failed` when it ends at once, or does not answer in time, with the end of its log; or for a state
 * directory that somebody else could reach
 */
export async function startDaemon(options: StartDaemonOptions): Promise<StartedDaemon> {
  const { paths, signal } = options;
  const logPath = join(paths.stateDir, "daemon.log");
  const present = await pidBehind(paths.controlSocket);
  if (typeof present === "number") return { pid: present, logPath, isOurs: false };
  await prepareDirectory(paths.stateDir);
  const logStart = await openLog(logPath);
  const child = spawnDetached(options, logPath);
  let ended: Deno.CommandStatus | undefined;
  const status = child.status.then((result) => ended = result);
  let deadlineMs = performance.now() + (options.timeoutMs ?? START_TIMEOUT_MS);
  let isTooMany = false;
  while (true) {
    signal?.throwIfAborted();
    const answer = await pidBehind(paths.controlSocket);
    if (typeof answer === "number") return { pid: answer, logPath, isOurs: answer === child.pid };
    if (ended !== undefined && !isTooMany) {
      if (ended.code !== EXIT_STATUS.busy) {
        throw await failure(`it ended with status ${ended.code}`, { logPath, logStart });
      }
      // Another one was first. It has answered ours already, so that it will answer here at once if it ever does.
      isTooMany = true;
      deadlineMs = Math.min(deadlineMs, performance.now() + OTHER_ANSWERS_WITHIN_MS);
    }
    if (performance.now() > deadlineMs) {
      const why = isTooMany ? "another daemon is in its way" : `it does not answer (${answer.message})`;
      throw await failure(why, { logPath, logStart });
    }
    await pauseUnless(isTooMany ? undefined : status);
  }
}

const START_TIMEOUT_MS = 15_000;
const OTHER_ANSWERS_WITHIN_MS = 1_000;
const POLL_MS = 20;
/** A daemon that is just starting may be slow; it is asked again. */
const ANSWER_TIMEOUT_MS = 2_000;
/** How much of the end of its log an error message shows. */
const MAX_SHOWN_LOG_CHARACTERS = 2_000;
/** Keeps descriptors plentiful (a compiled binary does not raise its limit) and appends what it says to a log. */
const LAUNCH_SCRIPT = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$0" "$@" >>"$APEX_DAEMON_LOG" 2>&1';

/** Makes the log if it is missing; its size, behind which the new daemon's words will stand. */
async function openLog(path: string): Promise<number> {
  try {
    using file = await Deno.open(path, { append: true, create: true, mode: 0o600 });
    return (await file.stat()).size;
  } catch (cause) {
    throw new ApexError("failed", `cannot write the daemon's log ${path}: ${messageOf(cause)}`, { cause });
  }
}

function spawnDetached(
  { selfCommand, flags }: StartDaemonOptions,
  logPath: string,
): Deno.ChildProcess {
  try {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", LAUNCH_SCRIPT, ...selfCommand, "daemon", ...flags],
      env: { APEX_DAEMON_LOG: logPath },
      // It must not keep the directory busy in which somebody happened to be.
      cwd: "/",
      // A session of its own: neither Ctrl-C nor the terminal's end reaches it.
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    child.unref();
    return child;
  } catch (cause) {
    throw new ApexError("failed", `cannot start a daemon: ${messageOf(cause)}`, { cause });
  }
}

/** Of whoever answers on the control socket; else why nobody does. */
async function pidBehind(controlSocket: string): Promise<number | ApexError> {
  try {
    return (await request(controlSocket, "status", {}, { timeoutMs: ANSWER_TIMEOUT_MS })).pid;
  } catch (error) {
    if (error instanceof ApexError) return error;
    throw error;
  }
}

async function pauseUnless(ended: Promise<unknown> | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, POLL_MS);
  await Promise.race(ended === undefined ? [promise] : [promise, ended]);
  clearTimeout(timer);
}

async function failure(
  why: string,
  { logPath, logStart }: { readonly logPath: string; readonly logStart: number },
): Promise<ApexError> {
  const written = (await Deno.readFile(logPath)).subarray(logStart);
  const said = new TextDecoder().decode(written).trim().slice(-MAX_SHOWN_LOG_CHARACTERS);
  return new ApexError(
    "failed",
    `cannot start a daemon: ${why} (log: ${logPath})${said === "" ? "" : `:\n${said}`}`,
  );
}
