/**
 * Starts a daemon in the background, as a process that outlives this one. Such a daemon ends if it does not reach its engine
 * (`src/daemon/engine_status.ts`). `startDaemon` waits until the daemon follows its engine, or has ended.
 */
import { join } from "@std/path/posix";
import { ApexError, EXIT_STATUS } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type DetachedProcess, startDetached } from "../platform/detached_process.ts";
import { type Paths, prepareDirectory } from "../platform/directories.ts";
import type { StatusResult } from "../protocol/daemon_operations.ts";
import { type DaemonStatus, daemonStatus } from "./daemon_status.ts";

export interface StartDaemonOptions {
  /** The command that starts apex: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  /** Further arguments of `apex daemon`. */
  readonly flags: readonly string[];
  /** Environment variables in addition to those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** The control socket, and the directory of the log. */
  readonly paths: Pick<Paths, "controlSocket" | "stateDir">;
  readonly abort?: AbortSignal;
  /** How long the daemon may take to answer, in milliseconds; 15 s by default. */
  readonly timeoutMs?: number;
}

/** The daemon that answers now. */
export interface StartedDaemon {
  readonly pid: number;
  /** The log of all daemons that were started in the background with this state directory. */
  readonly logPath: string;
  /** False if another process had started a daemon first. */
  readonly isOurs: boolean;
}

/**
 * Resolves when a daemon answers on the control socket and, if it was started here, follows its engine. Several processes can
 * start a daemon at the same time: one daemon remains, and every caller gets it.
 *
 * @throws {ApexError} `engine` if the daemon did not reach its engine; `failed` if it ends or does not answer in time, with the
 * end of its log, or if other users can access the state directory
 */
export async function startDaemon(options: StartDaemonOptions): Promise<StartedDaemon> {
  const { paths, abort, env } = options;
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
  /** The last status of the engine that the daemon started here had not reached. */
  let engine: StatusResult["engine"] | undefined;
  while (true) {
    abort?.throwIfAborted();
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
      // Another daemon was first. It has answered the one started here, so it will answer here, too, if at all.
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
/** A daemon that is starting may be slow: it is asked again. */
const ANSWER_TIMEOUT_MS = 2_000;
/** The length of the end of the log in an error message. */
const MAX_SHOWN_LOG_CHARACTERS = 2_000;

/** The status of the daemon on the control socket, or the error. */
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
  const log = await child.output(MAX_SHOWN_LOG_CHARACTERS);
  return new ApexError(
    "failed",
    `cannot start a daemon: ${why} (log: ${logPath})${log === "" ? "" : `:\n${log}`}`,
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
