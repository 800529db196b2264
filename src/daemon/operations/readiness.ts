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

/** A client that comes right after the daemon's start gets the containers, not an error. */
const LOOK_LIMIT_MS = 2_000;
/** A client may have started the daemon to run its task: it waits longer, yet less than it waits for a reply. */
const CHANGE_LIMIT_MS = 5_000;

/** Lets an operation wait until the daemon knows what it would answer from. */
export class Readiness {
  readonly #options: ReadinessOptions;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** An empty list before the engine was ever heard would be a lie. @throws {ApexError} `engine` */
  async containersKnown(signal: AbortSignal): Promise<void> {
    await this.#wait(this.#options.engine.firstCaughtUp, { limitMs: LOOK_LIMIT_MS, signal });
    this.#requireEngine();
  }

  /**
   * What is waited for or followed is a container's future: one that is not known yet must not be taken for one that was
   * removed. @throws {ApexError} `engine`
   */
  async containersCaughtUp(signal: AbortSignal): Promise<void> {
    const isKnown = await this.#wait(this.#options.engine.firstCaughtUp, {
      limitMs: CHANGE_LIMIT_MS,
      signal,
    });
    this.#requireEngine();
    if (isKnown) return;
    throw new ApexError("engine", "the engine has not reported all of its containers yet; try again");
  }

  /** Tasks are told of without an engine, too, as they stood last. */
  async tasksKnown(signal: AbortSignal): Promise<void> {
    await this.#wait(this.#options.adoption.settled, { limitMs: LOOK_LIMIT_MS, signal });
  }

  /**
   * A task that is begun before the containers are known could lose its first events, and its id might be another's.
   * @throws {ApexError} `engine`
   */
  async tasksUsable(signal: AbortSignal): Promise<void> {
    await this.#wait(this.#options.adoption.settled, { limitMs: CHANGE_LIMIT_MS, signal });
    this.#requireEngine();
  }

  /**
   * What would be created on an engine that is gone fails, and its failure would be published; one that restarts is waited
   * for. @throws {ApexError} `engine`
   */
  async engineConnected(signal: AbortSignal): Promise<void> {
    const { engine } = this.#options;
    await this.#wait(engine.connected, { limitMs: CHANGE_LIMIT_MS, signal });
    if (engine.current.state !== "connected") throw this.#noEngine();
  }

  /** Until every task is taken up, its container looks like nobody's. @throws {ApexError} `engine` */
  async ownersKnown(signal: AbortSignal): Promise<void> {
    const { adoption } = this.#options;
    const known = await this.#wait(adoption.settled, { limitMs: CHANGE_LIMIT_MS, signal });
    this.#requireEngine();
    if (known && adoption.error === undefined) return;
    const why = adoption.error ?? "the tasks of the last daemon are still being taken up; try again";
    throw new ApexError("engine", `which task a container belongs to is not known yet: ${why}`);
  }

  #requireEngine(): void {
    if (this.#options.engine.current.kind === undefined) throw this.#noEngine();
  }

  #noEngine(): ApexError {
    const { kind, socket, source, error } = this.#options.engine.current;
    const place = `${socket} (from ${source})`;
    // Why it was not reached names the place; why it was lost does not.
    const how = kind === undefined ? "has not reached its engine yet" : `has lost its engine at ${place}`;
    const why = error ?? `the engine at ${place} does not answer`;
    return new ApexError(
      "engine",
      `the daemon (pid ${Deno.pid}) ${how}; start that engine, or end the daemon (apex stop) and name another: ${why}`,
    );
  }

  /** Whether it came in time. */
  #wait(
    promise: Promise<void>,
    { limitMs, signal }: { limitMs: number; signal: AbortSignal },
  ): Promise<boolean> {
    return settlesWithin(promise, { timeoutMs: limitMs, clock: this.#options.clock, abort: signal });
  }
}
