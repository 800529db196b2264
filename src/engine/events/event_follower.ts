/**
 * Follows an engine's container events for as long as it lives, and loses none: one connection after the other, each
 * replaying what the last one may have missed. It owns the loop and what is remembered between connections
 * (`follow_memory.ts`); a connection's own course is in `followed_connection.ts`.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { Backoff } from "../../platform/async/backoff.ts";
import { abortableDelay } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { EngineClient } from "../engine_client.ts";
import { FollowMemory, type RecallEngine } from "./follow_memory.ts";
import { FollowedConnection, type FollowHandlers } from "./followed_connection.ts";

export interface EventFollowerOptions {
  readonly client: EngineClient;
  readonly handlers: FollowHandlers;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 ≤ x < 1, for jitter. Default `Math.random`. */
  readonly random?: () => number;
  /** What is known of an engine from an earlier life: following goes on from there. Nothing by default. */
  readonly recall?: RecallEngine;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;
/**
 * Connections in a row that were established, and cut before they had caught up, after which the next attempt still comes
 * at once. The engine remembers only its last 256 events, so each wait may cost some; the bound keeps an engine that
 * ends every connection from being asked without pause.
 */
const MAX_HASTY_RETRIES = 50;

export class EventFollower implements AsyncDisposable {
  readonly #client: EngineClient;
  readonly #handlers: FollowHandlers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #backoff: Backoff;
  readonly #memory: FollowMemory;
  readonly #stopping = new AbortController();
  #connection: FollowedConnection | undefined;
  #hastyRetries = 0;
  #running: Promise<void> | undefined;

  constructor({ client, handlers, clock, logger, random = Math.random, recall }: EventFollowerOptions) {
    this.#client = client;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#logger = logger;
    this.#backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, random });
    this.#memory = new FollowMemory(recall);
  }

  /** Begins to connect, and to connect again whenever that ends. Once is enough. */
  start(): void {
    if (this.#stopping.signal.aborted) throw new TypeError("Cannot start a disposed EventFollower");
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /** Asks for a fresh list and reconcile, after an impossible transition. Many requests in one go make one list. */
  requestReconcile(): void {
    this.#connection?.requestReconcile();
  }

  /** Engine time of the newest event seen, in nanoseconds; before any, that of the first connection. */
  get lastEngineTimeNano(): number | undefined {
    return this.#memory.newestNano;
  }

  /** Ends whatever runs, in any state. No handler is called after it has resolved. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new DOMException("The event follower was disposed", "AbortError"));
    await this.#running;
  }

  async #run(abort: AbortSignal): Promise<void> {
    for (let hasToldOfFailure = false; !abort.aborted;) {
      const connection = this.#connection = new FollowedConnection({
        client: this.#client,
        handlers: this.#handlers,
        memory: this.#memory,
        clock: this.#clock,
        logger: this.#logger,
      });
      const why = await failureOf(connection.run(abort));
      this.#connection = undefined;
      if (abort.aborted) return;

      if (connection.isConnected || !hasToldOfFailure) {
        hasToldOfFailure = true;
        this.#tellDisconnected(why);
      }
      if (this.#mayRetryAtOnce(connection)) {
        this.#logger.debug(`trying the engine again at once: ${why}`);
        continue;
      }
      const delayMs = this.#backoff.next();
      this.#logger.debug(`trying the engine again in ${Math.round(delayMs)} ms: ${why}`);
      try {
        await abortableDelay(delayMs, { clock: this.#clock, abort });
      } catch (error) {
        // Disposed while it waited; anything else would be a defect.
        if (!abort.aborted) throw error;
      }
    }
  }

  /** Backoff is for attempts that fail, not for the first one after a connection that had been established. */
  #mayRetryAtOnce({ isConnected, hasLasted }: FollowedConnection): boolean {
    if (!isConnected) return false;
    this.#hastyRetries = hasLasted ? 0 : this.#hastyRetries + 1;
    if (this.#hastyRetries > MAX_HASTY_RETRIES) return false;
    this.#backoff.reset();
    return true;
  }

  #tellDisconnected(why: string): void {
    try {
      this.#handlers.disconnected(why);
    } catch (error) {
      this.#logger.error(`the handler of disconnected failed: ${messageOf(error)}`);
    }
  }
}

async function failureOf(run: Promise<never>): Promise<string> {
  try {
    return await run;
  } catch (error) {
    return messageOf(error);
  }
}
