/**
 * One connection to the engine's events, from the first request to its end. Three loops run concurrently: reading the
 * stream, list-and-reconcile, and ping. The first one that fails ends the others, and `run` rejects with its reason
 * when all have ended. The order matters: the stream is opened before the containers are listed, so that no change is
 * lost between the two; events wait for the list, and reconciling waits for the end of the replay.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import { abortableDelay } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { EngineClient } from "../engine_client.ts";
import type { ContainerSummary, EngineIdentity, EngineInfo, EngineKind } from "../engine_types.ts";
import { EngineError } from "../http/engine_error.ts";
import { parseEngineTime } from "./engine_time.ts";
import type { EngineEvent } from "./event_stream.ts";
import type { FollowMemory } from "./follow_memory.ts";

/** What a new connection found. */
export interface ConnectedInfo {
  readonly kind: EngineKind;
  readonly version: string;
  /** Stable across restarts of an engine; a different value means a different engine. */
  readonly engineId: string;
  /** All containers, stopped ones too. */
  readonly containers: ContainerSummary[];
  /** True for the first connection of all, with nothing recalled: `containers` is the silent baseline. */
  readonly first: boolean;
  /** Engine time, ns: earlier events are silent. */
  readonly baselineNano: number;
}

/**
 * The receiver of what the follower finds. All handlers but `reconcile` are called synchronously from the reading loop.
 * An error that one throws is logged and otherwise ignored.
 */
export interface FollowHandlers {
  /**
   * The stream's headers and the list of all containers have arrived. No event is delivered before this call. Events
   * that arrived before the list follow immediately, in the same turn.
   */
  connected(info: ConnectedInfo): void;
  /**
   * One engine event, in stream order, never twice.
   * @param silent the event is older than the baseline (engine time): apply it to the state, but publish nothing
   */
  event(event: EngineEvent, silent: boolean): void;
  /**
   * The stream has been quiet since a list: reconcile the differences. The list is older than the quiet period, so an
   * event that was delivered since `connected`, or since the last reconcile, is newer than the list. The next list
   * waits for the returned promise. When it rejects, another list and reconcile follow in 10 s.
   * @param abort aborts when the connection ends
   */
  reconcile(containers: ContainerSummary[], abort: AbortSignal): Promise<void>;
  /** Called once for each lost connection, and once when the very first attempt fails, but not for each retry. */
  disconnected(error: string): void;
}

export interface FollowedConnectionOptions {
  readonly client: EngineClient;
  readonly handlers: FollowHandlers;
  readonly memory: FollowMemory;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The replay counts as complete when no event has arrived for this long … */
const QUIET_MS = 200;
/** … or after this long, on an engine that is never quiet. */
const MAX_QUIET_WAIT_MS = 1_000;
/** Engines drop events for slow readers without notice; the regular list detects that. */
const RELIST_EVERY_MS = 5 * 60_000;
const RETRY_RECONCILE_MS = 10_000;
const PING_EVERY_MS = 10_000;
const PING_TIMEOUT_MS = 5_000;
/** Events that may wait for the list, some 16 MB. Docker replays at most 256. */
const MAX_WAITING_EVENTS = 16_384;

export class FollowedConnection {
  readonly #client: EngineClient;
  readonly #handlers: FollowHandlers;
  readonly #memory: FollowMemory;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Events that arrived before the list; `undefined` once they are delivered. */
  #waiting: EngineEvent[] | undefined = [];
  #arrivals = 0;
  #hasLasted = false;
  #wantsRelist = false;
  #wakeRelist: (() => void) | undefined;

  constructor({ client, handlers, memory, clock, logger }: FollowedConnectionOptions) {
    this.#client = client;
    this.#handlers = handlers;
    this.#memory = memory;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Whether `handlers.connected` has been called. */
  get isConnected(): boolean {
    return this.#waiting === undefined;
  }

  /** Whether the connection has outlasted the first replay and reconcile. */
  get hasLasted(): boolean {
    return this.#hasLasted;
  }

  /** Requests another list and reconcile after the current ones. */
  requestReconcile(): void {
    this.#wantsRelist = true;
    this.#wakeRelist?.();
  }

  /**
   * Follows the engine until the connection ends, then rejects with nothing left running.
   * @throws {EngineError} the reason why the connection ended
   * @throws the reason of `abort` when it aborts
   */
  async run(abort: AbortSignal): Promise<never> {
    abort.throwIfAborted();
    const ending = new AbortController();
    const end = () => ending.abort(abort.reason);
    abort.addEventListener("abort", end, { once: true });
    try {
      this.#client.forget();
      const identity = await this.#client.identify(ending.signal);
      const info = await this.#client.info(ending.signal);
      const nowNano = parseEngineTime(info.SystemTime);
      if (nowNano === undefined) throw new EngineError(`the engine says its time is "${info.SystemTime}"`);
      const engineId = engineIdentity(identity.kind, info);
      const sinceNano = this.#memory.begin(engineId, nowNano);
      const events = await this.#client.openEvents({ sinceNano, abort: ending.signal });
      return await firstFailure([
        this.#readStream(events),
        this.#listAndReconcile({ ...identity, engineId }, ending.signal),
        this.#ping(ending.signal),
      ], ending);
    } finally {
      abort.removeEventListener("abort", end);
    }
  }

  async #readStream(events: AsyncIterable<EngineEvent>): Promise<never> {
    try {
      for await (const event of events) this.#arrived(event);
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError(`the engine's event stream broke: ${messageOf(error)}`, { cause: error });
    }
    throw new EngineError("the engine ended its event stream");
  }

  async #listAndReconcile(
    engine: EngineIdentity & { engineId: string },
    abort: AbortSignal,
  ): Promise<never> {
    let containers = await this.#client.listContainers(abort);
    this.#connected(engine, containers);
    while (true) {
      await this.#untilQuiet(abort);
      const isReconciled = await this.#reconcile(containers, abort);
      this.#hasLasted = true;
      await this.#untilRelist(isReconciled ? RELIST_EVERY_MS : RETRY_RECONCILE_MS, abort);
      this.#wantsRelist = false;
      containers = await this.#client.listContainers(abort);
    }
  }

  async #ping(abort: AbortSignal): Promise<never> {
    while (true) {
      await abortableDelay(PING_EVERY_MS, { clock: this.#clock, abort });
      using deadline = new Deadline(PING_TIMEOUT_MS, { clock: this.#clock, abort });
      await this.#client.ping(deadline.abortSignal);
    }
  }

  #arrived(event: EngineEvent): void {
    this.#arrivals++;
    if (this.#waiting === undefined) {
      this.#deliver(event);
    } else if (this.#waiting.length < MAX_WAITING_EVENTS) {
      this.#waiting.push(event);
    } else {
      throw new EngineError(
        `more than ${MAX_WAITING_EVENTS} events came before the engine listed its containers`,
      );
    }
  }

  /** One synchronous block: no other code sees the list without the events that came with it. */
  #connected(engine: EngineIdentity & { engineId: string }, containers: ContainerSummary[]): void {
    const { kind, version, engineId } = engine;
    const { baselineNano, isFirst: first } = this.#memory;
    this.#memory.completed();
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    const info = { kind, version, engineId, containers, first, baselineNano };
    this.#guard("connected", () => this.#handlers.connected(info));
    for (const event of waiting) this.#deliver(event);
  }

  #deliver(event: EngineEvent): void {
    const novelty = this.#memory.see(event);
    if (novelty === "repeat") return;
    this.#guard("event", () => this.#handlers.event(event, novelty === "silent"));
  }

  /** A handler that throws has a bug; it must not cost the following events. */
  #guard(name: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#logger.error(`the handler of ${name} failed: ${messageOf(error)}`);
    }
  }

  /** Counts arrivals rather than reading the clock: the machine's clock may jump. */
  async #untilQuiet(abort: AbortSignal): Promise<void> {
    for (let waitedMs = 0; waitedMs < MAX_QUIET_WAIT_MS; waitedMs += QUIET_MS) {
      const before = this.#arrivals;
      await abortableDelay(QUIET_MS, { clock: this.#clock, abort });
      if (this.#arrivals === before) return;
    }
  }

  /** Resolves with false when the handler failed, so that it is retried soon. */
  async #reconcile(containers: ContainerSummary[], abort: AbortSignal): Promise<boolean> {
    try {
      await this.#handlers.reconcile(containers, abort);
      return true;
    } catch (error) {
      abort.throwIfAborted();
      this.#logger.warn(`cannot compare the containers with the engine's list: ${messageOf(error)}`);
      return false;
    }
  }

  async #untilRelist(delayMs: number, abort: AbortSignal): Promise<void> {
    // The signal may have aborted while the handlers reconciled, and it fires only once.
    abort.throwIfAborted();
    if (this.#wantsRelist) return;
    const woken = new AbortController();
    this.#wakeRelist = () => woken.abort();
    const end = () => woken.abort();
    abort.addEventListener("abort", end, { once: true });
    try {
      await abortableDelay(delayMs, { clock: this.#clock, abort: woken.signal });
    } catch (error) {
      if (!woken.signal.aborted) throw error;
      abort.throwIfAborted();
      // Woken by a request: the wait is over.
    } finally {
      abort.removeEventListener("abort", end);
      this.#wakeRelist = undefined;
    }
  }
}

/** Rejects with the first failure of `loops`, after `ending` has ended the others. */
async function firstFailure(loops: readonly Promise<never>[], ending: AbortController): Promise<never> {
  try {
    return await Promise.race(loops);
  } catch (error) {
    ending.abort(error);
    await Promise.allSettled(loops);
    throw error;
  }
}

/**
 * Identifies an engine across restarts: its `ID`. Podman's compatible API generates a new `ID` for each request; its
 * host and the directory of its containers are used instead.
 */
export function engineIdentity(kind: EngineKind, info: EngineInfo): string {
  if (kind !== "podman") return info.ID;
  return `podman:${info.Name ?? ""}:${info.DockerRootDir ?? ""}`;
}
