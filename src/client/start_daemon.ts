/**
 * Starts a daemon in the background, as a process of its own that outlives its starter. It ends by itself when it does not
 * reach its engine (`engine_status.ts`), and its starter waits for the one or the other.
 */
import { join } from "@std/path/posix";
import { ApexError, EXIT_STATUS } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type DetachedProcess, startDetached } from "../platform/detached_process.ts";
import { type Paths, prepareDirectory } from "../platform/directories.ts";
import type { StatusResult } from "../protocol/daemon_operations.ts";
import { type DaemonStatus, daemonStatus } from "./daemon_status.ts";

export interface StartDaemonOptions {
  /** The command that is apex itself: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  /** Further arguments of `apex daemon`. */
  readonly flags: readonly string[];
  /** Variables that it gets beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of the daemon that is started: where it will answer, and where its log goes. */
  readonly paths: Pick<Paths, "controlSocket" | "stateDir">;
  readonly signal?: AbortSignal;
  /** For how long it may not answer, in milliseconds; 15 s by default. */
  readonly timeoutMs?: number;
}

/** The daemon that answers now. */
export interface StartedDaemon {
  readonly pid: number;
  /** The log of all daemons that were started in the background with this state directory. */
  readonly logPath: string;
  /** It is the one that was started here; false when another one was there first. */
  readonly isOurs: boolean;
}

/**
 * Returns once a daemon answers on the control socket and, if it was started here, follows its engine. Several may start
 * one at the same time: one daemon remains, and all of them get it.
 *
 * @throws {ApexError} `engine` when it did not reach its engine; `failed` when it ends at once, or does not answer in time,
 * with the end of its log; or for a state directory that somebody else could reach
 */
export async function startDaemon(options: StartDaemonOptions): Promise<StartedDaemon> {
  const { paths, signal, env } = options;
  const logPath = join(paths.stateDir, "daemon.log");
  const present = await statusBehind(paths.controlSocket);
  if (!(present instanceof ApexError)) return { pid: present.pid, logPath, isOurs: false };
  await prepareDirectory(paths.stateDir);
  const command = [...options.selfCommand, "daemon", ...options.flags, "--background-log", logPath];
  const child = await startDetached({ command, logPath, ...(env !== undefined && { env }) });
  let ended: Deno.CommandStatus | undefined;
  const status = child.status.then((result) => ended = result);
  const timeoutMs = options.timeoutMs ?? START_TIMEOUT_MS;
  let deadlineMs = performance.now() + timeoutMs;
  let isTooMany = false;
  /** What the daemon that was started here last said of an engine that it had not reached. */
  let engine: StatusResult["engine"] | undefined;
  while (true) {
    signal?.throwIfAborted();
    const answer = await statusBehind(paths.controlSocket);
    if (!(answer instanceof ApexError)) {
      const { pid } = answer;
      const isOurs = pid === child.pid;
      if (!isOurs || answer.engine?.kind !== undefined) return { pid, logPath, isOurs };
      engine = answer.engine;
      deadlineMs = performance.now() + timeoutMs;
    } else if (ended !== undefined && engine !== undefined) {
      throw engineMissed(engine, { pid: child.pid, logPath });
    } else if (ended !== undefined && !isTooMany) {
      if (ended.code !== EXIT_STATUS.busy) {
        throw await failure(`it ended with status ${ended.code}`, { child, logPath });
      }
      // Another one was first. It has answered ours already, so that it will answer here at once if it ever does.
      isTooMany = true;
      deadlineMs = Math.min(deadlineMs, performance.now() + OTHER_ANSWERS_WITHIN_MS);
    } else if (performance.now() > deadlineMs) {
      const why = isTooMany ? "another daemon is in its way" : `it does not answer (${answer.message})`;
      throw await failure(why, { child, logPath });
    }
    await settlesWithin(isTooMany ? NEVER : status, { timeoutMs: POLL_MS });
  }
}

const START_TIMEOUT_MS = 15_000;
const OTHER_ANSWERS_WITHIN_MS = 1_000;
const POLL_MS = 20;
const NEVER = new Promise<never>(() => {});
/** A daemon that is just starting may be slow; it is asked again. */
const ANSWER_TIMEOUT_MS = 2_000;
/** How much of the end of its log an error message shows. */
const MAX_SHOWN_LOG_CHARACTERS = 2_000;

/** Of the daemon that answers on the control socket; else why none does. */
async function statusBehind(controlSocket: string): Promise<DaemonStatus | ApexError> {
  try {
    return await daemonStatus(controlSocket, { timeoutMs: ANSWER_TIMEOUT_MS });
  } catch (error) {
    if (error instanceof ApexError) return error;
    throw error;
  }
}

async function failure(
  why: string,
  { child, logPath }: { readonly child: DetachedProcess; readonly logPath: string },
): Promise<ApexError> {
  const said = await child.output(MAX_SHOWN_LOG_CHARACTERS);
  return new ApexError(
    "failed",
    `cannot start a daemon: ${why} (log: ${logPath})${said === "" ? "" : `:\n${said}`}`,
  );
}

function engineMissed(
  { socket, source, error }: StatusResult["engine"],
  { pid, logPath }: { readonly pid: number; readonly logPath: string },
): ApexError {
  const why = error ?? `the engine at ${socket} (from ${source}) does not answer`;
  return new ApexError(
    "engine",
    `the daemon that was started for this (pid ${pid}; log: ${logPath}) has ended without an engine; start one, or name ` +
      `another with --engine: ${why}`,
  );
}
