/**
 * A process with everything that it starts in its group: a container's command, an exec or a health probe. It has its own
 * session, so a Ctrl-C at the engine's terminal does not reach it. When the main process exits, the rest of the group is
 * killed, as at the end of a pid namespace. A child that has made itself a session of its own escapes that.
 */
import { exitCodeOfSignal, signalName } from "../../platform/signals.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import {
  type ContainerProcess,
  drained,
  ProcessInput,
  type ProcessOptions,
  pump,
} from "./container_process.ts";
import { LaunchError, type LaunchPlan, toCommand } from "./launch_plan.ts";
import { signalGroup } from "./proc_files.ts";
import { TerminalProcess } from "./terminal_process.ts";

export interface SpawnOptions extends ProcessOptions {
  /** Runs the command at a terminal of that size; undefined: without a terminal. */
  readonly terminal?: ConsoleSize | undefined;
}

/**
 * Starts a command.
 * @throws {LaunchError} when the kernel refuses the file, for example a script whose interpreter is missing
 * @throws {Error} when this machine has no process, descriptor or terminal left
 */
export async function spawnProcess(plan: LaunchPlan, options: SpawnOptions): Promise<ContainerProcess> {
  const { terminal, ...others } = options;
  if (terminal !== undefined) return await TerminalProcess.start(plan, { ...others, size: terminal });
  try {
    return new ProcessGroup(plan, others);
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

class ProcessGroup implements ContainerProcess {
  readonly pid: number;
  readonly exited: Promise<{ exitCode: number }>;
  readonly mainExited: Promise<void>;
  readonly input: ProcessInput | undefined;
  readonly #child: Deno.ChildProcess;
  #ended = false;

  /** @throws what `Deno.Command.spawn` throws */
  constructor(plan: LaunchPlan, options: ProcessOptions) {
    this.#child = toCommand(plan, {
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

  /** Signals the whole group. */
  signal(number: number): boolean {
    const name = signalName(number);
    if (name === undefined) return false;
    if (!this.#ended) signalGroup(this.pid, name);
    return true;
  }

  /** Does nothing: it has no terminal. */
  resize(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async #supervise({ onOutput }: ProcessOptions): Promise<{ exitCode: number }> {
    const cut = new AbortController();
    const outputs = Promise.all(
      (["stdout", "stderr"] as const).map((stream) =>
        pump(this.#child[stream].getReader(), {
          write: (chunk) => onOutput(stream, chunk),
          abort: cut.signal,
        })
      ),
    );
    const status = await this.#child.status;
    this.#ended = true;
    signalGroup(this.pid, "SIGKILL");
    void this.input?.end(); // Not awaited: a child that escaped may hold the other end, and never read.
    await drained(outputs, cut);
    return { exitCode: status.signal === null ? status.code : exitCodeOfSignal(status.signal) };
  }
}
