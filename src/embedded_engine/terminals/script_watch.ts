/**
 * Makes up for the habits of `script`, which stands between us and a terminal. It stops itself when its child is stopped,
 * and must be woken when that goes on. It misses the end of a child that ends right when it goes on. And it stays as long
 * as anything prints at the terminal, so what a command that has ended left running is ended too. Looks from time to
 * time, until it is disposed.
 */
import { isOutOfDescriptors, processStats } from "../processes/proc_files.ts";
import { sendIfThere, signalSession } from "../processes/process_signals.ts";

/** It is there for what is rare, and costs two small files each time. */
const INTERVAL_MS = 1_000;
/** When something was let go on, what is rare is near: as often, and as many times. */
const HURRIED_INTERVAL_MS = 50;
const HURRIED_LOOKS = 20;

export interface ScriptWatchOptions {
  readonly scriptPid: number;
  /** Leads the session at the terminal. */
  readonly commandPid: number;
  /** Whether it may be let go on while its child lives: not when it stands still because that was paused. */
  readonly mayWake: () => boolean;
  /** Pieces of output that have come; undefined while one is still being taken. */
  readonly outputs: () => number | undefined;
  /** The command has ended with that code, and `script` will never know. */
  readonly onMissedEnd: (exitCode: number) => void;
}

type Finding = "runs" | "gone" | { readonly unseenExitCode: number };

export class ScriptWatch implements AsyncDisposable {
  readonly #options: ScriptWatchOptions;
  readonly #watching: Promise<void>;
  #hurriedLooks = 0;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(options: ScriptWatchOptions) {
    this.#options = options;
    this.#watching = this.#watch();
  }

  /** The command was stopped and goes on, or was killed. */
  hurry(): void {
    this.#hurriedLooks = HURRIED_LOOKS;
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#wake();
    await this.#watching;
  }

  /** Acts on what it has found twice in a row: `script` may be about to see it too. */
  async #watch(): Promise<void> {
    let before: Finding = "runs";
    while (!this.#isOver) {
      const outputs = this.#options.outputs();
      await this.#pause();
      const now: Finding = await this.#lookIfPossible(outputs);
      if (this.#isOver) return;
      if (now !== "runs" && before !== "runs") await this.#act(now);
      before = now;
    }
  }

  async #lookIfPossible(outputsBefore: number | undefined): Promise<Finding> {
    try {
      return await this.#look(outputsBefore);
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      return "runs"; // As far as one knows.
    }
  }

  async #look(outputsBefore: number | undefined): Promise<Finding> {
    const { scriptPid, commandPid, mayWake, outputs } = this.#options;
    const stats = await processStats([scriptPid, commandPid]);
    const script = stats.find(({ pid }) => pid === scriptPid);
    const command = stats.find(({ pid }) => pid === commandPid);
    if (this.#isOver || script === undefined) return "runs";
    const hasEnded = command === undefined || command.state === "Z";
    if (script.state === "T" && command?.state !== "T" && (hasEnded || mayWake())) {
      sendIfThere(scriptPid, "SIGCONT");
    }
    if (command === undefined) return "gone";
    // It has ended and nobody has asked after it, though `script` sleeps; and not because its output is not taken.
    const isIdle = script.state === "S" && outputsBefore !== undefined && outputsBefore === outputs();
    return command.state === "Z" && isIdle ? { unseenExitCode: exitCodeOfWait(command.waitStatus) } : "runs";
  }

  async #act(finding: Exclude<Finding, "runs">): Promise<void> {
    const { commandPid, scriptPid, onMissedEnd } = this.#options;
    await signalSession(commandPid, "SIGKILL");
    if (finding === "gone" || this.#isOver) return;
    onMissedEnd(finding.unseenExitCode);
    sendIfThere(scriptPid, "SIGKILL");
  }

  async #pause(): Promise<void> {
    if (this.#isOver) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, this.#hurriedLooks > 0 ? HURRIED_INTERVAL_MS : INTERVAL_MS);
    await promise;
    clearTimeout(timer);
    if (this.#hurriedLooks > 0) this.#hurriedLooks--;
  }
}

/** As wait(2) gives it: the low seven bits are the signal that ended it, else the second byte is its code. */
function exitCodeOfWait(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? status >> 8 & 0xff : 128 + signal;
}
