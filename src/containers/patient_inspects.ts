/**
 * Inspects that wait for their engine. One that does not reach it is made again, and time in which the engine cannot be
 * heard does not count: an engine that goes down breaks its connections in any order.
 */
import type { ContainerInspect } from "../engine/engine_types.ts";
import { EngineError } from "../engine/engine_error.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";

/** Between a try that did not reach the engine and the next one. */
const RETRY_MS = 100;

export interface PatientInspectsOptions {
  /** Undefined: no such container. Throws when the engine cannot be asked. */
  readonly inspect: (id: string, signal: AbortSignal) => Promise<ContainerInspect | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What an inspect brings. `unanswered`: too late, or the engine could not tell. */
export type InspectResult = ContainerInspect | "gone" | "unanswered";

export interface Inquiry {
  readonly id: string;
  /** Of the container, for the log. */
  readonly name: string;
  /** How long the engine is asked, in milliseconds in which it can be heard. */
  readonly patienceMs: number;
  /** Called once, never from within {@linkcode PatientInspects.ask}; not at all after disposal. */
  readonly answer: (result: InspectResult) => void;
}

/** An inquiry that can be heard, and what ends its try or its wait for the next one. */
interface Asking {
  readonly abort: AbortController;
  cancelTimers: () => void;
}

export class PatientInspects implements AsyncDisposable {
  readonly #options: PatientInspectsOptions;
  #isHearing = false;
  #isOver = false;
  /** Those without an answer; undefined while the engine cannot be heard. */
  readonly #open = new Map<Inquiry, Asking | undefined>();
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: PatientInspectsOptions) {
    this.#options = options;
  }

  ask(inquiry: Inquiry): void {
    if (this.#isOver) return;
    this.#open.set(inquiry, undefined);
    if (this.#isHearing) this.#begin(inquiry);
  }

  /** The engine can be heard (again): all that is open is asked anew. */
  resume(): void {
    this.#isHearing = true;
    for (const [inquiry, asking] of this.#open) if (asking === undefined) this.#begin(inquiry);
  }

  /** The engine cannot be heard: it is not asked, and no patience runs out. */
  pause(): void {
    this.#isHearing = false;
    for (const [inquiry, asking] of this.#open) {
      asking?.cancelTimers();
      asking?.abort.abort();
      this.#open.set(inquiry, undefined);
    }
  }

  /** Ends all that is under way, without an answer. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.pause();
    this.#open.clear();
    await Promise.all(this.#underWay);
  }

  #begin(inquiry: Inquiry): void {
    const { clock } = this.#options;
    const abort = new AbortController();
    const cancelDeadline = clock.after(inquiry.patienceMs, () => {
      this.#answer(inquiry, asking, "unanswered");
      abort.abort();
    });
    const asking: Asking = { abort, cancelTimers: cancelDeadline };
    this.#open.set(inquiry, asking);
    const attempt = (): void => {
      const task = this.#attempt(inquiry, asking, () => {
        const cancelRetry = clock.after(RETRY_MS, attempt);
        asking.cancelTimers = () => {
          cancelDeadline();
          cancelRetry();
        };
      });
      this.#underWay.add(task);
      void task.finally(() => this.#underWay.delete(task));
    };
    attempt();
  }

  async #attempt(inquiry: Inquiry, asking: Asking, retryLater: () => void): Promise<void> {
    const { id, name } = inquiry;
    let result: InspectResult;
    try {
      result = await this.#options.inspect(id, asking.abort.signal) ?? "gone";
    } catch (error) {
      if (asking.abort.signal.aborted) return;
      const isRefused = error instanceof EngineError && error.status !== undefined;
      if (!isRefused) return retryLater();
      this.#options.logger.warn(`cannot inspect container ${name}: ${messageOf(error)}`);
      result = "unanswered";
    }
    this.#answer(inquiry, asking, result);
  }

  #answer(inquiry: Inquiry, asking: Asking, result: InspectResult): void {
    if (this.#open.get(inquiry) !== asking) return;
    asking.cancelTimers();
    this.#open.delete(inquiry);
    inquiry.answer(result);
  }
}
