/**
 * Ends a daemon of any version, and waits until it is gone. It is asked to end; one that cannot be asked gets SIGTERM, which
 * every version takes for the same. Gone means: its lock is free, so that another one can start, and so is its pid.
 */
import { delay } from "@std/async/delay";
import { ApexError } from "../platform/apex_error.ts";
import type { SocketPaths } from "../platform/directories.ts";
import { instanceLockPath, lockFile, readInstanceRecord } from "../platform/lock_file.ts";
import { request } from "./control_exchange.ts";
import { type DaemonStatus, daemonStatus } from "./daemon_status.ts";

export interface StopDaemonOptions {
  readonly sockets: Pick<SocketPaths, "controlSocket" | "runtimeDir">;
  /** Until it is gone, in milliseconds; 30 s by default: its clients are sent their last output. */
  readonly timeoutMs?: number;
}

export interface StoppedDaemon {
  readonly pid: number;
  /** What it said of itself before; undefined when it did not answer. */
  readonly status: DaemonStatus | undefined;
}

/**
 * @throws {ApexError} `no_daemon` when none runs; `timeout` when it does not end; `failed` when it neither answers nor can
 * be told from another process
 */
export async function stopDaemon({ sockets, timeoutMs = 30_000 }: StopDaemonOptions): Promise<StoppedDaemon> {
  const { controlSocket, runtimeDir } = sockets;
  const lockPath = instanceLockPath(runtimeDir);
  const status = await statusUnlessStuck(controlSocket);
  const pid = status?.pid ?? await recordedPid(lockPath, controlSocket);
  if (!await isAskedToEnd(controlSocket)) terminate(pid);
  await untilFree(lockPath, { pid, timeoutMs });
  for (let waitedMs = 0; waitedMs < REAPED_WITHIN_MS && exists(pid); waitedMs += POLL_MS) {
    await delay(POLL_MS);
  }
  return { pid, status };
}

/** One that hangs is not waited for. */
const ANSWER_TIMEOUT_MS = 3_000;
/** It ends right after it has freed its lock; but a process whose parent does not ask for its status keeps its pid. */
const REAPED_WITHIN_MS = 200;
const POLL_MS = 10;

async function statusUnlessStuck(controlSocket: string): Promise<DaemonStatus | undefined> {
  try {
    return await daemonStatus(controlSocket, { timeoutMs: ANSWER_TIMEOUT_MS });
  } catch (error) {
    if (error instanceof ApexError && error.code !== "no_daemon") return undefined;
    throw error;
  }
}

/** Somebody listens on the socket: the owner of the lock beside it. */
async function recordedPid(lockPath: string, controlSocket: string): Promise<number> {
  const record = await readInstanceRecord(lockPath);
  if (record?.socket === controlSocket) return record.pid;
  throw new ApexError(
    "failed",
    `cannot end the daemon at ${controlSocket}: it does not answer, and ${lockPath} does not say which process it is`,
  );
}

async function isAskedToEnd(controlSocket: string): Promise<boolean> {
  try {
    await request(controlSocket, "stop", {}, { timeoutMs: ANSWER_TIMEOUT_MS });
    return true;
  } catch (error) {
    // Ending already, too old to know the operation, or stuck.
    if (error instanceof ApexError) return error.code === "no_daemon";
    throw error;
  }
}

function terminate(pid: number): void {
  try {
    Deno.kill(pid, "SIGTERM");
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return; // It has ended.
    throw new ApexError("failed", `cannot end the daemon (pid ${pid}): it belongs to another user`, {
      cause,
    });
  }
}

/** That another daemon has the lock is just as good: the one that was asked is gone. */
class TakenByAnother extends Error {}

async function untilFree(
  lockPath: string,
  { pid, timeoutMs }: { readonly pid: number; readonly timeoutMs: number },
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  const whileHeld = async (): Promise<void> => {
    const record = await readInstanceRecord(lockPath);
    if (record !== undefined && record.pid !== pid) throw new TakenByAnother();
    if (performance.now() < deadlineMs) return;
    throw new ApexError(
      "timeout",
      `the daemon (pid ${pid}) has not ended in ${timeoutMs / 1_000} s; to end it by force: kill -9 ${pid}`,
    );
  };
  try {
    // Its record goes with it.
    using _lock = await lockFile(lockPath, { record: "", whileHeld });
  } catch (error) {
    if (!(error instanceof TakenByAnother)) throw error;
  }
}

function exists(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT"); // Changes nothing for a process that is not stopped.
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    // The pid is another user's process by now.
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
