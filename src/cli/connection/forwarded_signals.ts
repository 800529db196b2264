/**
 * Forwards SIGINT and SIGTERM to a task instead of ending the client that shows it. Before the task runs, they cancel it.
 * Then the first SIGINT and every SIGTERM are forwarded, the second SIGINT kills the task, and the third leaves the task
 * alone and ends the client. Owns the signal handlers and the requests under way.
 */
import { request } from "../../client/control_exchange.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { CliContext, VerbSignal } from "../cli_context.ts";
import { failureText } from "./targets.ts";

export interface ForwardedSignalsOptions {
  readonly context: CliContext;
  readonly controlSocket: string;
}

/** A cancelled task has the daemon's `stop_timeout` to end, which may be long. */
const CANCEL_TIMEOUT_MS = 600_000;
/** The number of the SIGINT that kills the task, and of the one that ends the client. */
const KILLS = 2;
const GIVES_UP = 3;

export class ForwardedSignals implements AsyncDisposable {
  readonly #options: ForwardedSignalsOptions;
  readonly #abandoned = new AbortController();
  readonly #disposed = new AbortController();
  readonly #sending = new Set<Promise<unknown>>();
  readonly #stopListening: (() => void)[];
  #taskId: string | undefined;
  #isRunning = false;
  #interrupts = 0;
  /** A signal came before the daemon had accepted the task. */
  #isCancelWanted = false;

  constructor(options: ForwardedSignalsOptions) {
    this.#options = options;
    const { onSignal } = options.context;
    this.#stopListening = (["SIGINT", "SIGTERM"] as const).map((name) =>
      onSignal(name, () => this.#received(name))
    );
  }

  /** Aborted with an {@linkcode ApexError} `interrupted` when the client is to end before the task. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal;
  }

  /** The daemon has accepted the task. */
  accepted(taskId: string): void {
    this.#taskId = taskId;
    if (this.#isCancelWanted) this.#cancel(taskId);
  }

  /** The task runs, so signals can reach it. */
  started(): void {
    this.#isRunning = true;
  }

  /** Restores the default handling of signals, and aborts the requests under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stopListening.splice(0)) stop();
    this.#disposed.abort();
    await Promise.all(this.#sending);
  }

  #received(name: VerbSignal): void {
    if (name === "SIGINT") this.#interrupts++;
    if (this.#interrupts >= GIVES_UP || (this.#taskId === undefined && this.#interrupts >= KILLS)) {
      return this.#giveUp();
    }
    if (this.#taskId === undefined) this.#isCancelWanted = true;
    else if (!this.#isRunning) this.#cancel(this.#taskId);
    else this.#send(this.#taskId, name === "SIGINT" && this.#interrupts >= KILLS ? "SIGKILL" : name);
  }

  #giveUp(): void {
    const what = this.#taskId === undefined
      ? "interrupted; the task may still be started (see: apex tasks)"
      : `interrupted; task ${this.#taskId} may continue (see: apex wait ${this.#taskId})`;
    this.#abandoned.abort(new ApexError("interrupted", what));
  }

  #send(task: string, signal: string): void {
    this.#track(`cannot send ${signal} to task ${task}`, async (abort) => {
      const { context: { stderr }, controlSocket } = this.#options;
      await request(controlSocket, "tasks.signal", { task, signal }, { abort });
      // At a terminal, a user may wonder why nothing happens.
      if (signal === "SIGINT" && stderr.isTerminal) {
        await stderr.print("apex: sent SIGINT to the command; press Ctrl-C again to kill it");
      }
    });
  }

  #cancel(task: string): void {
    const { controlSocket } = this.#options;
    this.#track(`cannot cancel task ${task}`, (abort) => {
      const options = { abort, timeoutMs: CANCEL_TIMEOUT_MS };
      return request(controlSocket, "tasks.cancel", { task }, options);
    });
  }

  #track(failure: string, work: (abort: AbortSignal) => Promise<unknown>): void {
    const abort = this.#disposed.signal;
    const sending = work(abort).catch(async (error) => {
      if (abort.aborted) return;
      if (!(error instanceof ApexError)) throw error;
      // The task has ended, and its end is about to arrive.
      if (error.code === "conflict" || error.code === "not_found") return;
      const text = failureText(failure, { target: this.#taskId ?? "", error });
      await this.#options.context.stderr.print(`apex: ${text}`);
    }).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }
}
