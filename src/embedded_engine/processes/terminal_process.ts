/**
 * A command at a pseudo-terminal (see terminal_plan.ts). Owns the `script` process, which relays between us and the
 * terminal: bytes written to its input are typed, its output is what the terminal shows, and its exit status is the
 * command's, or 128 and the number of the signal that ended it. The command leads a session of its own, and signals go to
 * the command, not to `script`.
 */
import { concat } from "@std/bytes/concat";
import { settlesWithin } from "../../platform/async/wait.ts";
import { exitCodeOfSignal, SIGCONT, SIGHUP, SIGKILL, signalName } from "../../platform/signals.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import {
  type ContainerProcess,
  drained,
  ProcessInput,
  type ProcessOptions,
  pump,
} from "./container_process.ts";
import { type LaunchPlan, toCommand } from "./launch_plan.ts";
import {
  hangUp,
  isOutOfDescriptors,
  type ProcessStat,
  processStats,
  signalGroup,
  signalProcess,
  signalSession,
} from "./proc_files.ts";
import { GO_AHEAD, resizePlan, terminalPlan } from "./terminal_plan.ts";

/** A shell starts in milliseconds; this is far beyond a slow machine. */
const OPEN_TIMEOUT_MS = 10_000;
/** The first line of output has a pid and a path. */
const MAX_FIRST_LINE_BYTES = 256;
/** The cases that are watched for are rare, and each look reads two small files. */
const WATCH_INTERVAL_MS = 1_000;

export interface TerminalOptions extends ProcessOptions {
  readonly size: ConsoleSize;
}

interface OpenedTerminal {
  readonly pid: number;
  /** `/dev/pts/N`. */
  readonly device: string;
}

export class TerminalProcess implements ContainerProcess {
  readonly pid: number;
  readonly mainExited: Promise<void>;
  readonly exited: Promise<{ exitCode: number }>;
  readonly input: ProcessInput | undefined;
  readonly #device: string;
  readonly #script: Deno.ChildProcess;
  readonly #typed: ProcessInput;
  #ended = false;
  /** Counts the beginning and the end of each `onOutput`, so it is odd while one is in progress. */
  #outputSteps = 0;
  /** The exit code of a command whose exit `script` has missed. */
  #missedExitCode: number | undefined;
  #hangingUp: Promise<void> = Promise.resolve();
  /** Sizes are set one after another. */
  #resizing: Promise<boolean> = Promise.resolve(true);
  #nextSize: ConsoleSize | undefined;

  /** @throws {Error} when `script` is missing, or opens no terminal */
  static async start(plan: LaunchPlan, options: TerminalOptions): Promise<TerminalProcess> {
    const script = toCommand(terminalPlan(plan, options.size), {
      detached: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = script.stdout.getReader();
    const errorText = readText(script.stderr);
    const opening = open(output);
    await settlesWithin(opening, { timeoutMs: OPEN_TIMEOUT_MS });
    const opened = await Promise.race([opening, undefined]);
    if (opened !== undefined) return new TerminalProcess({ script, output, errorText, opened }, options);
    signalProcess(script.pid, "SIGKILL");
    await Promise.allSettled([script.status, output.cancel(), script.stdin.close()]);
    const detail = (await errorText).trim();
    throw new Error(`cannot open a terminal with script (util-linux)${detail === "" ? "" : `: ${detail}`}`);
  }

  private constructor(
    { script, output, errorText, opened }: {
      script: Deno.ChildProcess;
      output: ReadableStreamDefaultReader<Uint8Array>;
      errorText: Promise<string>;
      opened: OpenedTerminal;
    },
    options: TerminalOptions,
  ) {
    this.pid = opened.pid;
    this.#device = opened.device;
    this.#script = script;
    this.#typed = new ProcessInput(script.stdin);
    void this.#typed.write(GO_AHEAD); // Never rejects, and precedes all other input.
    this.input = options.stdin ? this.#typed : undefined;
    this.mainExited = script.status.then(() => {});
    const cut = new AbortController();
    const outputs = pump(output, {
      write: async (chunk) => {
        this.#outputSteps++;
        await options.onOutput("stdout", chunk);
        this.#outputSteps++;
      },
      abort: cut.signal,
    });
    this.exited = this.#supervise({ outputs: Promise.all([outputs, errorText]), cut });
  }

  /** Signals the command's group; SIGHUP goes to the group in the terminal's foreground, too. */
  signal(number: number): boolean {
    const name = signalName(number);
    if (name === undefined) return false;
    if (this.#ended) return true;
    if (number === SIGHUP) this.#hangingUp = this.#hangingUp.then(() => this.#hangUp());
    else signalGroup(this.pid, name);
    // The command gets its signal first: `script` continues its child, which could then exit before the SIGKILL.
    if (number === SIGCONT || number === SIGKILL) signalProcess(this.#script.pid, "SIGCONT");
    return true;
  }

  /** Of several sizes that arrive while one is being set, only the last is set. */
  async resize(size: ConsoleSize): Promise<boolean> {
    this.#nextSize = size;
    const resized = this.#resizing.then(async () => {
      const next = this.#nextSize;
      this.#nextSize = undefined;
      if (next === undefined || this.#ended) return true;
      return await setSize(resizePlan(this.#device, next)) || this.#ended;
    });
    this.#resizing = resized;
    return await resized;
  }

  async #hangUp(): Promise<void> {
    if (!this.#ended) await hangUp(this.pid);
  }

  async #supervise(
    { outputs, cut }: { outputs: Promise<unknown>; cut: AbortController },
  ): Promise<{ exitCode: number }> {
    await this.#watchScript();
    const status = await this.#script.status;
    this.#ended = true;
    void this.#typed.end(); // `script` has exited: there is nothing to wait for.
    await this.#hangingUp;
    await signalSession(this.pid, "SIGKILL");
    await drained(outputs, cut);
    await this.#resizing;
    const exitCode = status.signal === null ? status.code : exitCodeOfSignal(status.signal);
    return { exitCode: this.#missedExitCode ?? exitCode };
  }

  /**
   * Works around three habits of `script`, until it exits.
   * - It runs as long as any process prints at the terminal, so the processes that an exited command left are killed.
   * - It stops itself when its child has stopped, and does not notice that the child continues, so it is continued too.
   * - It can miss the exit of a child that was stopped before. Then the exit code is read from /proc, and it is killed.
   */
  async #watchScript(): Promise<void> {
    let hadEnded = false;
    let stepsBefore = this.#outputSteps;
    while (!(await settlesWithin(this.#script.status, { timeoutMs: WATCH_INTERVAL_MS }))) {
      const { command, script } = await this.#lookAtProcesses();
      if (script?.state === "T" && command?.state !== "T") signalProcess(script.pid, "SIGCONT");
      const isIdle = this.#outputSteps === stepsBefore && this.#outputSteps % 2 === 0;
      const isMissed = command?.state === "Z" && script?.state === "S" && isIdle;
      const hasEnded = script !== undefined && (command === undefined || isMissed);
      // Only the second time in a row: `script` may be about to exit.
      if (hasEnded && hadEnded) {
        await signalSession(this.pid, "SIGKILL");
        if (command !== undefined) {
          this.#missedExitCode = exitCodeOfWait(command.waitStatus);
          signalProcess(script.pid, "SIGKILL");
        }
      }
      hadEnded = hasEnded;
      stepsBefore = this.#outputSteps;
    }
  }

  async #lookAtProcesses(): Promise<{ command?: ProcessStat | undefined; script?: ProcessStat | undefined }> {
    try {
      const stats = await processStats([this.pid, this.#script.pid]);
      return {
        command: stats.find(({ pid }) => pid === this.pid),
        script: stats.find(({ pid }) => pid === this.#script.pid),
      };
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      return {};
    }
  }
}

/** @param status as wait(2) returns it: the low seven bits are the signal, else the second byte is the exit code */
function exitCodeOfWait(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? status >> 8 & 0xff : 128 + signal;
}

async function setSize(plan: LaunchPlan): Promise<boolean> {
  try {
    return (await toCommand(plan, { stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false; // It could not be started: the terminal keeps its size.
  }
}

/** Reads the first line, which is all of the output so far; undefined when it has another form, or the output ends. */
async function open(
  output: ReadableStreamDefaultReader<Uint8Array>,
): Promise<OpenedTerminal | undefined> {
  let bytes: Uint8Array = new Uint8Array(0);
  while (bytes.length < MAX_FIRST_LINE_BYTES) {
    const { done, value } = await output.read();
    if (done) return undefined;
    bytes = concat([bytes, value]);
    const end = bytes.indexOf(10);
    if (end < 0) continue;
    const match = /^([1-9]\d*) (\/dev\/\S+)\r?$/.exec(new TextDecoder().decode(bytes.subarray(0, end)));
    if (match === null) return undefined;
    return { pid: Number(match[1]), device: match[2]! };
  }
  return undefined;
}

/** The first 1,000 characters of a stream. */
async function readText(stream: ReadableStream<Uint8Array>): Promise<string> {
  const MAX_CHARACTERS = 1_000;
  let text = "";
  for await (const chunk of stream) text = (text + new TextDecoder().decode(chunk)).slice(0, MAX_CHARACTERS);
  return text;
}
