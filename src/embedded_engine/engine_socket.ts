/** The engine's listening socket, and who has it when it cannot be had. */
import { join } from "@std/path/posix";
import { EngineClient } from "../engine/engine_client.ts";
import { EngineError } from "../engine/http/engine_error.ts";
import { ApexError } from "../platform/apex_error.ts";
import { Deadline } from "../platform/async/deadline.ts";
import { SocketFile } from "../platform/unix_socket.ts";
import { LOCK_FILE, readLockHolder } from "./engine_lock.ts";

/** Whoever has the socket is asked who it is for an error message only: it need not wait for long. */
const ASK_TIMEOUT_MS = 1_000;

/**
 * Listens, taking a dead engine's socket over.
 * @throws {ApexError} `busy` when somebody listens there, saying who; `usage` when something other than a socket is there
 */
export async function listenForEngine(socketPath: string): Promise<SocketFile> {
  try {
    return await SocketFile.listen(socketPath);
  } catch (cause) {
    if (!(cause instanceof ApexError) || cause.code !== "busy") throw cause;
    throw new ApexError("busy", `cannot listen on ${socketPath}: ${await holderOf(socketPath)}`, { cause });
  }
}

/** Who listens there and what to do about it, in words. */
async function holderOf(socketPath: string): Promise<string> {
  using deadline = new Deadline(ASK_TIMEOUT_MS);
  using client = new EngineClient({ socketPath });
  const { abortSignal: signal } = deadline;
  try {
    const { kind } = await client.identify(signal);
    if (kind !== "embedded") return `${kind} does already; choose another socket with --listen`;
    const reply = await client.request("GET", "/info", { abort: signal });
    const { DockerRootDir: dir } = await reply.json() as { DockerRootDir: string };
    const holder = await readLockHolder(join(dir, LOCK_FILE));
    if (holder?.socketPath !== socketPath) {
      return `the embedded engine of ${dir} does already; end it, or choose another socket with --listen`;
    }
    return `the embedded engine of ${dir} (pid ${holder.pid}) does already; ` +
      `end it (kill ${holder.pid}), or choose another socket with --listen`;
  } catch (error) {
    // It speaks something else, or nothing in time.
    if (!(error instanceof EngineError || signal.aborted)) throw error;
    return "another program does already; end it, or choose another socket with --listen";
  }
}
