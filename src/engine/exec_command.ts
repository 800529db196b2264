import { concat } from "@std/bytes/concat";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { Deadline, DeadlineExceeded } from "../platform/async/deadline.ts";
import { abortableDelay } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { EngineClient } from "./engine_client.ts";
import type { ExecInspect } from "./engine_types.ts";
import { EngineError } from "./http/engine_error.ts";
import { readLog } from "./logs/log_frames.ts";

export interface ExecRequest {
  /** The container's id. */
  readonly id: string;
  /** The program and its arguments; no shell is asked. */
  readonly cmd: readonly string[];
  /** Until the command has ended; then waiting for it ends, and it goes on in the container. Absent: no limit. */
  readonly timeoutMs?: number;
  /** `NAME=value` each. */
  readonly env?: readonly string[];
  /** Absolute path in the container. */
  readonly workdir?: string;
  /** `name`, `uid` or `uid:gid`. */
  readonly user?: string;
  /** Gives up waiting. */
  readonly abort?: AbortSignal;
  readonly clock: Clock;
}

/** How a command in a container ended. */
export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** One of them was longer than 1 MiB; the rest of it is left out. */
  readonly truncated: boolean;
}

const MAX_OUTPUT_BYTES = 1024 * 1024;
/** The output may end a moment before the engine knows the exit code. */
const ASK_AGAIN_MS = 20;
const MAX_ASKS = 250;

/**
 * Runs a command in a running container, and resolves when it has ended, whatever its exit code.
 * @throws {EngineError} `not_found` for a container that is gone, `conflict` for one that does not run
 * @throws {ApexError} `timeout`
 * @throws the signal's reason when it aborts
 */
export async function execCommand(client: EngineClient, request: ExecRequest): Promise<ExecResult> {
  const { id, cmd, timeoutMs = 0, env = [], workdir, user, clock } = request;
  using deadline = new Deadline(timeoutMs, { clock, abort: request.abort });
  const { abortSignal: abort } = deadline;
  try {
    const { Id } = await client.requestJson<{ Id: string }>(
      "POST",
      `/containers/${encodeURIComponent(id)}/exec`,
      {
        body: {
          AttachStdout: true,
          AttachStderr: true,
          Cmd: cmd,
          Env: env,
          ...(workdir !== undefined && { WorkingDir: workdir }),
          ...(user !== undefined && { User: user }),
        },
        isRight: hasId,
        abort,
      },
    );
    const started = await client.request("POST", `/exec/${Id}/start`, {
      body: { Detach: false, Tty: false },
      abort,
    });
    const stdout = new BoundedBytes();
    const stderr = new BoundedBytes();
    if (started.body !== null) {
      for await (const { stream, bytes } of readLog(started.body, { tty: false, abort })) {
        (stream === "stderr" ? stderr : stdout).add(bytes);
      }
    }
    const exitCode = await exitCodeOf(client, Id, { clock, abort });
    const truncated = stdout.isOver || stderr.isOver;
    return { exitCode, stdout: stdout.joined(), stderr: stderr.joined(), truncated };
  } catch (error) {
    request.abort?.throwIfAborted();
    if (!(abort.reason instanceof DeadlineExceeded)) throw brokenOff(error);
    const message = `"${cmd[0]}" has not ended within ${timeoutMs / 1000} s; it goes on in the container`;
    throw new ApexError("timeout", message, { cause: error });
  }
}

async function exitCodeOf(
  client: EngineClient,
  execId: string,
  options: { clock: Clock; abort: AbortSignal },
): Promise<number> {
  for (let asks = 0; asks < MAX_ASKS; asks++) {
    const exec: ExecInspect = await client.requestJson("GET", `/exec/${execId}/json`, {
      abort: options.abort,
    });
    if (!exec.Running && exec.ExitCode !== null) return exec.ExitCode;
    await abortableDelay(ASK_AGAIN_MS, { clock: options.clock, abort: options.abort });
  }
  throw new EngineError("the command's output has ended, but the engine says that it still runs");
}

/** What reading the stream threw, when it was no answer of the engine's. */
function brokenOff(error: unknown): unknown {
  if (error instanceof ApexError) return error;
  return new EngineError(`the engine broke off the command's output: ${messageOf(error)}`, { cause: error });
}

function hasId(reply: unknown): boolean {
  return typeof reply === "object" && reply !== null && "Id" in reply && typeof reply.Id === "string";
}

/** The first {@linkcode MAX_OUTPUT_BYTES} of a stream; what follows is read and dropped, so that nobody is held up. */
class BoundedBytes {
  readonly #parts: Uint8Array[] = [];
  #length = 0;
  isOver = false;

  add(bytes: Uint8Array): void {
    const room = MAX_OUTPUT_BYTES - this.#length;
    if (bytes.length > room) this.isOver = true;
    if (room === 0) return;
    const kept = bytes.slice(0, room);
    this.#parts.push(kept);
    this.#length += kept.length;
  }

  joined(): Uint8Array {
    return concat(this.#parts);
  }
}
