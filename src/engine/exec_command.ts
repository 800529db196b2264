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
  /** The program and its arguments; not interpreted by a shell. */
  readonly cmd: readonly string[];
  /** How long to wait for the command; afterwards it continues in the container. Absent: no limit. */
  readonly timeoutMs?: number;
  /** Each `NAME=value`. */
  readonly env?: readonly string[];
  /** Absolute path in the container. */
  readonly workdir?: string;
  /** `name`, `uid` or `uid:gid`. */
  readonly user?: string;
  /** Stops waiting. */
  readonly abort?: AbortSignal;
  readonly clock: Clock;
}

/** The exit code and output of a command in a container. */
export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** At least one stream was longer than 1 MiB and was cut. */
  readonly truncated: boolean;
}

const MAX_OUTPUT_BYTES = 1024 * 1024;
/** The output may end a moment before the engine knows the exit code. */
const ASK_AGAIN_MS = 20;
const MAX_ASKS = 250;

/**
 * Runs a command in a running container, and resolves when it has exited, whatever its exit code.
 * @throws {EngineError} `not_found` when the container does not exist, `conflict` when it is not running
 * @throws {ApexError} `timeout`
 * @throws the reason of `abort` when it aborts
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
    const message = `"${cmd[0]}" has not exited within ${timeoutMs / 1000} s; it continues in the container`;
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
  throw new EngineError(
    "the output of the command has ended, but the engine reports that it is still running",
  );
}

/** Wraps an error of reading the stream, unless the engine reported it. */
function brokenOff(error: unknown): unknown {
  if (error instanceof ApexError) return error;
  return new EngineError(
    `the connection to the engine broke during the output of the command: ${messageOf(error)}`,
    { cause: error },
  );
}

function hasId(reply: unknown): boolean {
  return typeof reply === "object" && reply !== null && "Id" in reply && typeof reply.Id === "string";
}

/**
 * Keeps the first {@linkcode MAX_OUTPUT_BYTES} of a stream. The rest is read and dropped, so that the command does not
 * block.
 */
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
