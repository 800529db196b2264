/**
 * Inspects whose answer is worth waiting for, also while the engine is away: one that brings nothing is made again, a few
 * times while the engine can be heard, and once more each time it is back.
 */
import type { ContainerInspect } from "../../engine/engine_types.ts";
import { messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";

/** At once: when an engine goes down, all of its containers may be asked about together. */
const MAX_AT_ONCE = 8;

/** Longest wait for one answer. */
const TRY_MS = 1_000;

/** Between a try that brought nothing and the next one. */
const RETRY_MS = 1_000;

/** Those that were ended by a cut do not count. A dockerd that goes down gives its helper 15 s to end. */
const MAX_TRIES = 10;

export interface PatientInspectsOptions {
  /** Undefined: no such container. Throws when the engine cannot be asked. */
  readonly inspect: (id: string, signal: AbortSignal) => Promise<ContainerInspect | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Inquiry {
  readonly id: string;
  /** Of the container, for the log. */
  readonly name: string;
  /** Somebody still wants to know. */
  readonly isOpen: () => boolean;
  /** Called once at most, never from within {@linkcode PatientInspects.ask}. */
  readonly answer: (result: ContainerInspect | "gone" | "unanswered") => void;
}

interface Waiting {
  readonly inquiry: Inquiry;
  tries: number;
}

export class PatientInspects implements AsyncDisposable {
  readonly #options: PatientInspectsOptions;
  #isHearing = false;
  /** Those whose turn it is, in order. */
  readonly #waiting: Waiting[] = [];
  /** Those that are tried again later, with what cancels that. */
  readonly #later = new Map<Waiting, () => void>();
  /** Each try under way, with what ends it. */
  readonly #underWay = new Map<Promise<void>, AbortController>();

  constructor(options: PatientInspectsOptions) {
    this.#options = options;
  }

  ask(inquiry: Inquiry): void {
    this.#waiting.push({ inquiry, tries: 0 });
    this.#fill();
  }

  /** The engine can be heard (again). */
  resume(): void {
    this.#isHearing = true;
    this.#fill();
  }

  /** The engine cannot be heard, and is not asked. */
  pause(): void {
    this.#isHearing = false;
    for (const [each, cancel] of this.#later) {
      cancel();
      this.#waiting.push(each);
    }
    this.#later.clear();
    for (const abort of this.#underWay.values()) abort.abort();
  }

  /** Ends all that is under way, without an answer; nothing may be asked any more. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.pause();
    await Promise.all(this.#underWay.keys());
  }

  #fill(): void {
    while (this.#isHearing && this.#underWay.size < MAX_AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (!next.inquiry.isOpen()) continue;
      const cut = new AbortController();
      const task = this.#try(next, cut);
      this.#underWay.set(task, cut);
      void task.finally(() => {
        this.#underWay.delete(task);
        this.#fill();
      });
    }
  }

  async #try(waiting: Waiting, cut: AbortController): Promise<void> {
    const { inquiry } = waiting;
    const { inspect, clock, logger } = this.#options;
    using deadline = new Deadline(TRY_MS, { clock, abort: cut.signal });
    try {
      const answer = await inspect(inquiry.id, deadline.abortSignal);
      if (!cut.signal.aborted) inquiry.answer(answer ?? "gone");
      else this.#waiting.push(waiting);
    } catch (error) {
      if (cut.signal.aborted) {
        this.#waiting.push(waiting);
      } else if (++waiting.tries < MAX_TRIES) {
        this.#tryLater(waiting);
      } else {
        logger.warn(`cannot inspect container ${inquiry.name}: ${messageOf(error)}`);
        inquiry.answer("unanswered");
      }
    }
  }

  #tryLater(waiting: Waiting): void {
    const cancel = this.#options.clock.after(RETRY_MS, () => {
      this.#later.delete(waiting);
      this.#waiting.push(waiting);
      this.#fill();
    });
    this.#later.set(waiting, cancel);
  }
}
