import { ApexError } from "../../platform/apex_error.ts";
import { settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { TaskAdoption } from "../task_adoption.ts";

export interface ReadinessOptions {
  readonly engine: Pick<EngineStatus, "connected" | "current" | "firstCaughtUp">;
  readonly adoption: Pick<TaskAdoption, "error" | "settled">;
  readonly clock: Clock;
}

/** A client that connects right after the daemon's start gets the containers, not an error. */
const LOOK_LIMIT_MS = 2_000;
/** A client may have started the daemon to run its task. It waits longer, but less than its limit for a reply. */
const CHANGE_LIMIT_MS = 5_000;

/** Lets an operation wait until the daemon knows the containers and tasks that it needs. */
export class Readiness {
  readonly #options: ReadinessOptions;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Before the engine has answered once, an empty list would be wrong. @throws {ApexError} `engine` */
  async containersKnown(abort: AbortSignal): Promise<void> {
    await this.#wait(this.#options.engine.firstCaughtUp, { limitMs: LOOK_LIMIT_MS, abort });
    this.#requireEngine();
  }

  /**
   * For operations that follow a container: one that is not known yet must not be treated as removed.
   *
   * @throws {ApexError} `engine`
   */
  async containersCaughtUp(abort: AbortSignal): Promise<void> {
    const isKnown = await this.#wait(this.#options.engine.firstCaughtUp, { limitMs: CHANGE_LIMIT_MS, abort });
    this.#requireEngine();
    if (isKnown) return;
    throw new ApexError("engine", "the engine has not reported all of its containers yet; try again");
  }

  /** Without an engine, tasks are reported as they were last known. */
  async tasksKnown(abort: AbortSignal): Promise<void> {
    await this.#wait(this.#options.adoption.settled, { limitMs: LOOK_LIMIT_MS, abort });
  }

  /**
   * A task that starts before the containers are known could lose its first events, and its id may be in use.
   *
   * @throws {ApexError} `engine`
   */
  async tasksUsable(abort: AbortSignal): Promise<void> {
    await this.#wait(this.#options.adoption.settled, { limitMs: CHANGE_LIMIT_MS, abort });
    this.#requireEngine();
  }

  /**
   * Creating a container without an engine fails, and the failure would be published. An engine that restarts is waited for.
   *
   * @throws {ApexError} `engine`
   */
  async engineConnected(abort: AbortSignal): Promise<void> {
    const { engine } = this.#options;
    await this.#wait(engine.connected, { limitMs: CHANGE_LIMIT_MS, abort });
    if (engine.current.state !== "connected") throw this.#noEngine();
  }

  /** Until all tasks are adopted, their containers look like orphans. @throws {ApexError} `engine` */
  async ownersKnown(abort: AbortSignal): Promise<void> {
    const { adoption } = this.#options;
    const known = await this.#wait(adoption.settled, { limitMs: CHANGE_LIMIT_MS, abort });
    this.#requireEngine();
    if (known && adoption.error === undefined) return;
    const why = adoption.error ?? "the tasks of the last daemon are still being adopted; try again";
    throw new ApexError("engine", `which task a container belongs to is not known yet: ${why}`);
  }

  #requireEngine(): void {
    if (this.#options.engine.current.kind === undefined) throw this.#noEngine();
  }

  #noEngine(): ApexError {
    const { kind, socket, source, error } = this.#options.engine.current;
    const place = `${socket} (from ${source})`;
    // The error of a failed connection names the place; the error of a lost one does not.
    const how = kind === undefined ? "has not reached its engine yet" : `has lost its engine at ${place}`;
    const why = error ?? `the engine at ${place} does not answer`;
    return new ApexError(
      "engine",
      `the daemon (pid ${Deno.pid}) ${how}; start that engine, or end the daemon (apex stop) and name another: ${why}`,
    );
  }

  /** Whether the promise settled in time. */
  #wait(
    promise: Promise<void>,
    { limitMs, abort }: { limitMs: number; abort: AbortSignal },
  ): Promise<boolean> {
    return settlesWithin(promise, { timeoutMs: limitMs, clock: this.#options.clock, abort });
  }
}
