/**
 * Ctrl-C and SIGTERM for a task rather than for the client that shows it. Before the task runs, they cancel it; then the
 * first SIGINT and each SIGTERM are passed on to it, the second SIGINT kills it, and the third (nothing has helped) leaves
 * it alone and ends the client. Owns the handlers and the requests under way.
 */
import { request } from "../../client/control_exchange.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { CliContext, VerbSignal } from "../cli_context.ts";
import { failureText } from "../output/failure_text.ts";

export interface ForwardedSignalsOptions {
  readonly context: CliContext;
  readonly controlSocket: string;
}

/** A cancelled task may take its time to stop; whoever waits for that is told by its end. */
const CANCEL_TIMEOUT_MS = 600_000;
/** How many times SIGINT has come. */
const KILLS = 2;
const GIVES_UP = 3;

export class ForwardedSignals implements AsyncDisposable {
  readonly #options: ForwardedSignalsOptions;
  readonly #abandoned = new AbortController();
  readonly #disposed = new AbortController();
  readonly #sending = new Set<Promise<void>>();
  readonly #stopListening: (() => void)[];
  #taskId: string | undefined;
  #isRunning = false;
  #interrupts = 0;
  /** Came before the daemon had said which task it is. */
  #isCancelWanted = false;

  constructor(options: ForwardedSignalsOptions) {
    this.#options = options;
    const { onSignal } = options.context;
    this.#stopListening = (["SIGINT", "SIGTERM"] as const).map((name) =>
      onSignal(name, () => this.#received(name))
    );
  }

  /** Aborted, with an {@linkcode ApexError} `interrupted`, when the client is to end without the task's end. */
  get abandoned(): AbortSignal {
    return this.#abandoned.signal;
  }

  /** The daemon has taken the task. */
  accepted(taskId: string): void {
    this.#taskId = taskId;
    if (this.#isCancelWanted) this.#cancel(taskId);
  }

  /** The task runs, so that a signal can reach it. */
  started(): void {
    this.#isRunning = true;
  }

  /** From now on signals end the process as they do by default. */
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
      ? "interrupted; the task may run all the same (see: apex tasks)"
      : `interrupted; task ${this.#taskId} may go on (see: apex wait ${this.#taskId})`;
    this.#abandoned.abort(new ApexError("interrupted", what));
  }

  #send(task: string, signal: string): void {
    this.#track(`cannot send ${signal} to task ${task}`, async (options) => {
      const { context: { stderr }, controlSocket } = this.#options;
      await request(controlSocket, "tasks.signal", { task, signal }, options);
      // A program that sends SIGINT knows what it wants; a person at a terminal may see nothing happen.
      if (signal === "SIGINT" && stderr.isTerminal) {
        await stderr.print("apex: sent SIGINT to the command; press Ctrl-C again to kill it");
      }
    });
  }

  #cancel(task: string): void {
    this.#track(
      `cannot cancel task ${task}`,
      (options) =>
        request(this.#options.controlSocket, "tasks.cancel", { task }, {
          ...options,
          timeoutMs: CANCEL_TIMEOUT_MS,
        }),
    );
  }

  #track(failure: string, work: (options: { signal: AbortSignal }) => Promise<unknown>): void {
    const sending = this.#attempt(failure, work).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  async #attempt(
    failure: string,
    work: (options: { signal: AbortSignal }) => Promise<unknown>,
  ): Promise<void> {
    const { signal } = this.#disposed;
    try {
      await work({ signal });
    } catch (error) {
      // The task's end came first: it is on its way here.
      if (signal.aborted) return;
      if (!(error instanceof ApexError)) throw error;
      if (error.code === "conflict" || error.code === "not_found") return;
      const told = failureText(failure, { target: this.#taskId ?? "", error });
      await this.#options.context.stderr.print(`apex: ${told}`);
    }
  }
}
