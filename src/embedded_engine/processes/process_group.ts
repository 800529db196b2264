/**
 * A process and everything it starts in its group: the body of a container, and of a health probe. It has a session of
 * its own (a Ctrl-C at the engine's terminal does not reach it). When the main process ends, what is left of the group
 * is killed, as the end of a pid namespace would; a child that made itself a session of its own escapes that.
 */
import { exitCodeOfSignal, signalName } from "../../platform/signals.ts";
import type { ContainerProcess, ProcessOptions } from "./container_process.ts";
import { LaunchError, type LaunchPlan } from "./launch_plan.ts";
import { ProcessInput } from "./process_input.ts";
import { signalGroup } from "./process_signals.ts";
import { drained, pump } from "./pump.ts";

export class ProcessGroup implements ContainerProcess {
  readonly pid: number;
  readonly exited: Promise<{ exitCode: number }>;
  readonly mainExited: Promise<void>;
  readonly input: ProcessInput | undefined;
  readonly #child: Deno.ChildProcess;
  #ended = false;

  /** @throws what `Deno.Command.spawn` throws; see {@linkcode spawnProcessGroup} */
  constructor(plan: LaunchPlan, options: ProcessOptions) {
    this.#child = new Deno.Command(plan.program, {
      args: [...plan.args],
      cwd: plan.cwd,
      env: { ...plan.env },
      clearEnv: true,
      detached: true,
      stdin: options.stdin ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.input = options.stdin ? new ProcessInput(this.#child.stdin) : undefined;
    this.mainExited = this.#child.status.then(() => {});
    this.exited = this.#supervise(options);
  }

  /** To the whole group. */
  signal(number: number): boolean {
    const name = signalName(number);
    if (name === undefined) return false;
    if (!this.#ended) signalGroup(this.pid, name);
    return true;
  }

  /** It has no terminal. */
  resize(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async #supervise(options: ProcessOptions): Promise<{ exitCode: number }> {
    const cut = new AbortController();
    const outputs = Promise.all([
      pump(this.#child.stdout.getReader(), {
        write: (chunk) => options.onOutput("stdout", chunk),
        signal: cut.signal,
      }),
      pump(this.#child.stderr.getReader(), {
        write: (chunk) => options.onOutput("stderr", chunk),
        signal: cut.signal,
      }),
    ]);
    const status = await this.#child.status;
    this.#ended = true;
    signalGroup(this.pid, "SIGKILL");
    void this.input?.end(); // Not awaited: a child that escaped may hold the other end, and read nothing.
    await drained(outputs, cut);
    return { exitCode: status.signal === null ? status.code : exitCodeOfSignal(status.signal) };
  }
}

/**
 * Starts a process group.
 * @throws {LaunchError} when the kernel refuses the file (a script whose interpreter is missing, say)
 * @throws {Error} when this machine is out of processes or descriptors
 */
export function spawnProcessGroup(plan: LaunchPlan, options: ProcessOptions): ProcessGroup {
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
