/**
 * A process and everything it starts in its group: the body of a container, and of a health probe. It has a session of
 * its own (a Ctrl-C at the engine's terminal does not reach it). When the main process ends, what is left of the group
 * is killed, as the end of a pid namespace would; a child that made itself a session of its own escapes that.
 */
import { LaunchError, type LaunchPlan } from "./launch_plan.ts";
import { exitCodeOfSignal, signalName } from "./signals.ts";

export type OutputStream = "stdout" | "stderr";

export interface SpawnOptions {
  /** Awaited before the next read of that stream, so a fast writer is slowed rather than buffered. */
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => Promise<void> | void;
}

/** How long after the end output is still waited for: only a child that escaped the group can keep a pipe open. */
const DRAIN_TIMEOUT_MS = 500;

export class ProcessGroup {
  readonly pid: number;
  /** Resolves when the main process has ended, its group is killed, and its output is read. */
  readonly exited: Promise<{ exitCode: number }>;
  readonly #child: Deno.ChildProcess;
  #ended = false;

  /** @throws what `Deno.Command.spawn` throws; see {@linkcode spawnProcessGroup} */
  constructor(plan: LaunchPlan, options: SpawnOptions) {
    this.#child = new Deno.Command(plan.program, {
      args: [...plan.args],
      cwd: plan.cwd,
      env: { ...plan.env },
      clearEnv: true,
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.exited = this.#supervise(options);
  }

  /**
   * Sends a signal to the whole group; does nothing when it has ended.
   * @returns false when this machine's Deno cannot send that signal
   */
  signal(number: number): boolean {
    const name = signalName(number);
    if (name === undefined) return false;
    if (!this.#ended) signalGroup(this.pid, name);
    return true;
  }

  async #supervise(options: SpawnOptions): Promise<{ exitCode: number }> {
    const cut = new AbortController();
    const outputs = Promise.all([
      pump(this.#child.stdout, { write: (chunk) => options.onOutput("stdout", chunk), signal: cut.signal }),
      pump(this.#child.stderr, { write: (chunk) => options.onOutput("stderr", chunk), signal: cut.signal }),
    ]);
    const status = await this.#child.status;
    this.#ended = true;
    signalGroup(this.pid, "SIGKILL");
    const timer = setTimeout(() => cut.abort(), DRAIN_TIMEOUT_MS);
    await outputs;
    clearTimeout(timer);
    return { exitCode: status.signal === null ? status.code : exitCodeOfSignal(status.signal) };
  }
}

/**
 * Starts a process group.
 * @throws {LaunchError} when the kernel refuses the file (a script whose interpreter is missing, say)
 * @throws {Error} when this machine is out of processes or descriptors
 */
export function spawnProcessGroup(plan: LaunchPlan, options: SpawnOptions): ProcessGroup {
  try {
    return new ProcessGroup(plan, options);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new LaunchError(127, `exec ${plan.program}: no such file or directory`, { cause });
    }
    if (cause instanceof Deno.errors.PermissionDenied) {
      throw new LaunchError(126, `exec ${plan.program}: permission denied`, { cause });
    }
    throw cause;
  }
}

/** Signals the process group `pid`, or as much of it as there is. */
export function signalGroup(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-pid, signal);
  } catch (error) {
    // Gone, which is what one wanted or too late for; or all that is left runs as another user (a set-user-id program).
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied)) {
      throw error;
    }
  }
}

interface PumpOptions {
  readonly write: (chunk: Uint8Array) => Promise<void> | void;
  readonly signal: AbortSignal;
}

async function pump(stream: ReadableStream<Uint8Array>, { write, signal }: PumpOptions): Promise<void> {
  const reader = stream.getReader();
  let cancelled: Promise<void> | undefined;
  signal.addEventListener("abort", () => cancelled = reader.cancel(), { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    await write(value);
  }
  await cancelled;
}
