/**
 * A command at a pseudo-terminal (see terminal_plan.ts). Owns the `script` process, which stands between us and the
 * terminal: what we write is typed, what the program prints is read, and its exit status is the command's, 128 + the
 * signal where one ended it. The command leads a session of its own, and signals go to it, not to `script`.
 */
import { concat } from "@std/bytes/concat";
import { settlesWithin } from "../../platform/async/wait.ts";
import { exitCodeOfSignal, SIGCONT, SIGHUP, SIGKILL, signalName } from "../../platform/signals.ts";
import type { ContainerProcess, ProcessOptions } from "../processes/container_process.ts";
import type { LaunchPlan } from "../processes/launch_plan.ts";
import { isOutOfDescriptors, type ProcessStat, processStats } from "../processes/proc_files.ts";
import { ProcessInput } from "../processes/process_input.ts";
import { hangUp, sendIfThere, signalGroup, signalSession } from "../processes/process_signals.ts";
import { drained, pump } from "../processes/pump.ts";
import { GO_AHEAD, resizePlan, terminalPlan } from "./terminal_plan.ts";
import type { TerminalSize } from "./terminal_size.ts";

/** A shell that starts takes milliseconds; a machine that is this slow runs nothing. */
const OPEN_TIMEOUT_MS = 10_000;
/** The line that the terminal begins with has a number and a path. */
const MAX_FIRST_LINE_BYTES = 256;
/** What is watched for is rare, and each look reads two small files. */
const WATCH_INTERVAL_MS = 1_000;

export interface TerminalOptions extends ProcessOptions {
  readonly size: TerminalSize;
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
  #killed = false;
  #hangingUp: Promise<void> = Promise.resolve();
  /** New sizes, one after the other. */
  #resizing: Promise<boolean> = Promise.resolve(true);
  #nextSize: TerminalSize | undefined;

  /** @throws {Error} when there is no `script`, or it opens no terminal */
  static async start(plan: LaunchPlan, options: TerminalOptions): Promise<TerminalProcess> {
    const script = spawn(terminalPlan(plan, options.size));
    const output = script.stdout.getReader();
    const complaint = readText(script.stderr);
    const opening = open(output);
    await settlesWithin(opening, { timeoutMs: OPEN_TIMEOUT_MS });
    const opened = await Promise.race([opening, undefined]);
    if (opened !== undefined) return new TerminalProcess({ script, output, complaint, opened }, options);
    sendIfThere(script.pid, "SIGKILL");
    await Promise.allSettled([script.status, output.cancel(), script.stdin.close()]);
    const said = (await complaint).trim();
    throw new Error(`cannot open a terminal with script (util-linux)${said === "" ? "" : `: ${said}`}`);
  }

  private constructor(
    { script, output, complaint, opened }: {
      script: Deno.ChildProcess;
      output: ReadableStreamDefaultReader<Uint8Array>;
      complaint: Promise<string>;
      opened: OpenedTerminal;
    },
    options: TerminalOptions,
  ) {
    this.pid = opened.pid;
    this.#device = opened.device;
    this.#script = script;
    this.#typed = new ProcessInput(script.stdin);
    void this.#typed.write(GO_AHEAD); // It never rejects, and what is typed later comes later.
    this.input = options.stdin ? this.#typed : undefined;
    this.mainExited = script.status.then(() => {});
    const cut = new AbortController();
    const write = (chunk: Uint8Array) => options.onOutput("stdout", chunk);
    const outputs = pump(output, { write, signal: cut.signal });
    this.exited = this.#supervise({ outputs: Promise.all([outputs, complaint]), cut });
  }

  /** To the command's group; SIGHUP to that in the terminal's foreground, too. */
  signal(number: number): boolean {
    const name = signalName(number);
    if (name === undefined) return false;
    if (this.#ended) return true;
    if (number === SIGKILL) this.#killed = true;
    if (number === SIGCONT || number === SIGKILL) sendIfThere(this.#script.pid, "SIGCONT");
    if (number === SIGHUP) this.#hangingUp = this.#hangingUp.then(() => this.#hangUp());
    else signalGroup(this.pid, name);
    return true;
  }

  /** Sizes that come while one is being set: only the last counts. */
  async resize(size: TerminalSize): Promise<boolean> {
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
    await this.#endLeftovers();
    const status = await this.#script.status;
    this.#ended = true;
    void this.#typed.end(); // It has gone: there is nothing to wait for.
    await this.#hangingUp;
    await signalSession(this.pid, "SIGKILL");
    await drained(outputs, cut);
    await this.#resizing;
    return { exitCode: status.signal === null ? status.code : exitCodeOfSignal(status.signal) };
  }

  /**
   * Makes up for the habits of `script`, until it exits. It stays as long as anything prints at the terminal, so the
   * processes that an ended command left running are killed. It stops itself when its child has stopped, and does not
   * notice that the child continues. It can miss the exit of a child that was stopped, so a kill ends `script` too.
   */
  async #endLeftovers(): Promise<void> {
    let hadEnded = false;
    while (!(await settlesWithin(this.#script.status, { timeoutMs: WATCH_INTERVAL_MS }))) {
      const { command, script } = await this.#lookAtProcesses();
      if (script?.state === "T" && command?.state !== "T") sendIfThere(script.pid, "SIGCONT");
      const hasEnded = script !== undefined &&
        (command === undefined || (this.#killed && command.state === "Z"));
      // Only the second time in a row: `script` may be about to exit.
      if (hasEnded && hadEnded) {
        await signalSession(this.pid, "SIGKILL");
        if (this.#killed) sendIfThere(script.pid, "SIGKILL");
      }
      hadEnded = hasEnded;
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

function spawn(plan: LaunchPlan): Deno.ChildProcess {
  return new Deno.Command(plan.program, {
    args: [...plan.args],
    cwd: plan.cwd,
    env: { ...plan.env },
    clearEnv: true,
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function setSize({ program, args, cwd, env }: LaunchPlan): Promise<boolean> {
  const stty = new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { ...env },
    clearEnv: true,
    stderr: "null",
  });
  try {
    return (await stty.output()).success;
  } catch {
    return false; // It could not be started, for whatever reason: the terminal keeps its size.
  }
}

/** Reads the first line, behind which nothing comes yet; undefined when it is another one, or there is none. */
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

/** All of a stream that says little, cut at some length. */
async function readText(stream: ReadableStream<Uint8Array>): Promise<string> {
  const MAX_CHARACTERS = 1_000;
  let text = "";
  for await (const chunk of stream) text = (text + new TextDecoder().decode(chunk)).slice(0, MAX_CHARACTERS);
  return text;
}
