/**
 * Ends a daemon of any version, and waits for its end: its lock is free then, so that another daemon can start, and its pid does
 * not exist. A daemon that does not answer the request gets SIGTERM, which has the same effect in every version.
 */
import { delay } from "@std/async/delay";
import { ApexError } from "../platform/apex_error.ts";
import type { SocketPaths } from "../platform/directories.ts";
import { instanceLockPath, lockFile, readInstanceRecord } from "../platform/lock_file.ts";
import { request } from "./control_exchange.ts";
import { type DaemonStatus, daemonStatus } from "./daemon_status.ts";

export interface StopDaemonOptions {
  readonly sockets: Pick<SocketPaths, "controlSocket" | "runtimeDir">;
  /** How long the daemon may take to end, in milliseconds; 30 s by default, because it sends its clients their last output. */
  readonly timeoutMs?: number;
}

export interface StoppedDaemon {
  readonly pid: number;
  /** Its status before the end; undefined if it did not answer. */
  readonly status: DaemonStatus | undefined;
}

/**
 * @throws {ApexError} `no_daemon` if no daemon runs; `timeout` if it does not end; `failed` if it does not answer and its pid is
 * not known
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

/** A daemon that takes longer hangs. */
const ANSWER_TIMEOUT_MS = 3_000;
/** A daemon exits right after it has freed its lock. Its pid exists longer if its parent does not read its exit status. */
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

/** The pid of the daemon that listens on the socket: the owner of the lock beside it. */
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
    // The daemon is ending already, refuses the protocol, or hangs.
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

/** Another daemon holds the lock, so the daemon that was asked has ended. */
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
    // The empty record replaces that of the daemon.
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
    // The pid belongs to another user's process now.
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
