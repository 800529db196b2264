/**
 * Owns the inspects that delay a container's publication. Most are tried once, and answered within a second
 * ({@linkcode InspectRetryQueue.askOnce}). An inspect that decides about an exit code is worth waiting for
 * ({@linkcode InspectRetryQueue.ask}): a failed one is tried again, a few times while the engine is connected, and once
 * more after each reconnection.
 */
import type { ContainerInspect } from "../../engine/engine_types.ts";
import { messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";

/** Concurrent inspects: when an engine goes down, all of its containers may need one at the same time. */
const MAX_CONCURRENT = 8;

/** Longest wait for one answer. */
const ANSWER_TIMEOUT_MS = 1_000;

/** Between a failed try and the next one. */
const RETRY_MS = 1_000;

/** Tries that a lost connection ended do not count. A dockerd that shuts down gives its helper 15 s to end. */
const MAX_TRIES = 10;

/** `removed`: the engine has no such container. `unanswered`: the answer came too late, or the engine failed. */
export type InspectAnswer = ContainerInspect | "removed" | "unanswered";

export interface InspectRetryQueueOptions {
  /** Resolves to undefined when no such container exists. Rejects when the engine cannot answer. */
  readonly inspect: (id: string, abort: AbortSignal) => Promise<ContainerInspect | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Inquiry {
  readonly id: string;
  /** Of the container, for the log. */
  readonly name: string;
  /** Called at most once, and not before the call that adds the inquiry returns. */
  readonly answer: (answer: InspectAnswer) => void;
}

interface Queued {
  /** `isOpen`: the answer is still needed. */
  readonly inquiry: Inquiry & { readonly isOpen: () => boolean };
  tries: number;
}

export class InspectRetryQueue implements AsyncDisposable {
  readonly #options: InspectRetryQueueOptions;
  #isConnected = false;
  /** Due now, in order. */
  readonly #due: Queued[] = [];
  /** Due later, each with the function that cancels its timer. */
  readonly #later = new Map<Queued, () => void>();
  /** The tries under way of `ask` and of `askOnce`, each with what aborts it. */
  readonly #tries = new Map<Promise<void>, AbortController>();
  readonly #singleTries = new Map<Promise<void>, AbortController>();

  constructor(options: InspectRetryQueueOptions) {
    this.#options = options;
  }

  /** Inspects until the engine answers, the answer is no longer needed, or {@linkcode MAX_TRIES} have failed. */
  ask(inquiry: Queued["inquiry"]): void {
    this.#due.push({ inquiry, tries: 0 });
    this.#fill();
  }

  /** Inspects at once and once, whether the engine is connected or not. */
  askOnce({ id, name, answer }: Inquiry): void {
    const { inspect, clock, logger } = this.#options;
    const abort = new AbortController();
    const answerOnce = (result: InspectAnswer): void => {
      if (abort.signal.aborted) return;
      cancelDeadline();
      answer(result);
    };
    const cancelDeadline = clock.after(ANSWER_TIMEOUT_MS, () => {
      answerOnce("unanswered");
      abort.abort();
    });
    const task: Promise<void> = inspect(id, abort.signal).then(
      (result) => answerOnce(result ?? "removed"),
      (error: unknown) => {
        if (!abort.signal.aborted) logger.warn(`cannot inspect container ${name}: ${messageOf(error)}`);
        answerOnce("unanswered");
      },
    ).finally(() => {
      cancelDeadline();
      this.#singleTries.delete(task);
    });
    this.#singleTries.set(task, abort);
  }

  /** The engine is connected (again). */
  resume(): void {
    this.#isConnected = true;
    this.#fill();
  }

  /** The engine is not connected: nothing is tried until it is. */
  pause(): void {
    this.#isConnected = false;
    for (const [queued, cancel] of this.#later) {
      cancel();
      this.#due.push(queued);
    }
    this.#later.clear();
    for (const abort of this.#tries.values()) abort.abort();
  }

  /** Ends all inspects without an answer. Nothing may be asked afterwards. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.pause();
    for (const abort of this.#singleTries.values()) abort.abort();
    await Promise.all([...this.#tries.keys(), ...this.#singleTries.keys()]);
  }

  #fill(): void {
    while (this.#isConnected && this.#tries.size < MAX_CONCURRENT) {
      const next = this.#due.shift();
      if (next === undefined) return;
      if (!next.inquiry.isOpen()) continue;
      const cut = new AbortController();
      const task: Promise<void> = this.#try(next, cut).finally(() => {
        this.#tries.delete(task);
        this.#fill();
      });
      this.#tries.set(task, cut);
    }
  }

  async #try(queued: Queued, cut: AbortController): Promise<void> {
    const { inquiry } = queued;
    const { inspect, clock, logger } = this.#options;
    using deadline = new Deadline(ANSWER_TIMEOUT_MS, { clock, abort: cut.signal });
    try {
      const result = await inspect(inquiry.id, deadline.abortSignal);
      if (cut.signal.aborted) this.#due.push(queued);
      else inquiry.answer(result ?? "removed");
    } catch (error) {
      if (cut.signal.aborted) {
        this.#due.push(queued);
      } else if (++queued.tries < MAX_TRIES) {
        this.#tryLater(queued);
      } else {
        logger.warn(`cannot inspect container ${inquiry.name}: ${messageOf(error)}`);
        inquiry.answer("unanswered");
      }
    }
  }

  #tryLater(queued: Queued): void {
    const cancel = this.#options.clock.after(RETRY_MS, () => {
      this.#later.delete(queued);
      this.#due.push(queued);
      this.#fill();
    });
    this.#later.set(queued, cancel);
  }
}
