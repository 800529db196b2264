/** A running command of a container or an exec, with a terminal or without. */
import { TerminalProcess } from "../terminals/terminal_process.ts";
import type { TerminalSize } from "../terminals/terminal_size.ts";
import type { LaunchPlan } from "./launch_plan.ts";
import { spawnProcessGroup } from "./process_group.ts";
import type { ProcessInput } from "./process_input.ts";

export type OutputStream = "stdout" | "stderr";

export interface ProcessOptions {
  /** Awaited before the next read of that stream, so a fast writer is slowed rather than buffered. */
  readonly onOutput: (stream: OutputStream, chunk: Uint8Array) => Promise<void> | void;
  /** Gives it a standard input to write to; else it reads the end of the file, or, at a terminal, nothing. */
  readonly stdin?: boolean;
}

export interface ContainerProcess {
  /** Of the command itself; it leads its process group and its session. */
  readonly pid: number;
  /** Resolves when the command has ended; there may be output left to read. Never rejects. */
  readonly mainExited: Promise<void>;
  /** Resolves when the command has ended, what it left running is killed, and its output is read. Never rejects. */
  readonly exited: Promise<{ exitCode: number }>;
  /** Only where it was asked for. */
  readonly input: ProcessInput | undefined;
  /**
   * Sends a signal; does nothing when it has ended.
   * @returns false when this machine's Deno cannot send that signal
   */
  signal(number: number): boolean;
  /**
   * Tells the program at the terminal its new size, if there is a terminal. Never rejects.
   * @returns false when the size could not be set
   */
  resize(size: TerminalSize): Promise<boolean>;
}

export interface SpawnOptions extends ProcessOptions {
  /** Runs it at a terminal of that size; undefined: without one. */
  readonly terminal?: TerminalSize | undefined;
}

/**
 * Starts a command.
 * @throws {LaunchError} when the kernel refuses the file (a script whose interpreter is missing, say)
 * @throws {Error} when this machine is out of processes, descriptors or terminals
 */
export async function spawnProcess(plan: LaunchPlan, options: SpawnOptions): Promise<ContainerProcess> {
  const { terminal, ...others } = options;
  return terminal === undefined
    ? spawnProcessGroup(plan, others)
    : await TerminalProcess.start(plan, { ...others, size: terminal });
}
