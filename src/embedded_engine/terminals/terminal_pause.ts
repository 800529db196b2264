/**
 * Pauses all that runs at a terminal, and lets it go on. A shell's jobs have groups of their own, and no process must see
 * another one stopped: those who watch over others stop first, and go on last.
 *
 * `script` is in the way. Some time after its child was stopped it stops itself, and when it is let go on, it lets its
 * child go on, whatever has happened meanwhile: the next pause would be undone. So each pause and each end of one waits
 * until `script` is through with it, and the next one waits for that.
 */
import { delay } from "@std/async/delay";
import { isOutOfDescriptors, processStat } from "../processes/proc_files.ts";
import { sendIfThere, signalGroup, signalSession, stopSession } from "../processes/process_signals.ts";

/** It takes milliseconds. `script` never stops where its child stood still already, and seldom sleeps amid much output. */
const SETTLES_WITHIN_MS = 1_000;
const LOOK_EVERY_MS = 5;

export class TerminalPause {
  readonly #scriptPid: number;
  readonly #commandPid: number;
  #isPaused = false;
  #underWay = 0;
  /** Pauses with their ends, one after the other. */
  #settled: Promise<void> = Promise.resolve();

  constructor({ scriptPid, commandPid }: { scriptPid: number; commandPid: number }) {
    this.#scriptPid = scriptPid;
    this.#commandPid = commandPid;
  }

  /** Nothing is paused, or on its way from or to it. */
  get isOver(): boolean {
    return !this.#isPaused && this.#underWay === 0;
  }

  /** What was asked for so far is done. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  pause(): void {
    this.#isPaused = true;
    signalGroup(this.#commandPid, "SIGSTOP");
    this.#then(async () => {
      await stopSession(this.#commandPid);
      await this.#untilScript((state) => state === "T");
    });
  }

  resume(): void {
    this.#isPaused = false;
    this.#then(async () => {
      await signalSession(this.#commandPid, "SIGCONT", { youngestFirst: true });
      await this.#untilScript((state) => {
        if (state === "T") sendIfThere(this.#scriptPid, "SIGCONT");
        return state === "S";
      });
    });
  }

  #then(task: () => Promise<void>): void {
    this.#underWay++;
    this.#settled = this.#settled.then(task).finally(() => this.#underWay--);
  }

  async #untilScript(isThrough: (state: string) => boolean): Promise<void> {
    for (const deadline = Date.now() + SETTLES_WITHIN_MS; Date.now() < deadline;) {
      const state = await this.#scriptState();
      if (state === undefined || isThrough(state)) return;
      await delay(LOOK_EVERY_MS);
    }
  }

  /** Undefined where it has ended, or cannot be looked at. */
  async #scriptState(): Promise<string | undefined> {
    try {
      const script = await processStat(this.#scriptPid);
      return script === undefined || script.state === "Z" ? undefined : script.state;
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      return undefined;
    }
  }
}
