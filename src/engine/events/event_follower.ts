/**
 * Follows an engine's container events across reconnects without losing any: each connection replays what the last one
 * may have missed. The follower owns the loop and what is remembered between connections (`follow_memory.ts`);
 * `followed_connection.ts` is one connection.
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
  /** Returns what is known of an engine from an earlier run, so that following resumes there. Default: nothing. */
  readonly recall?: RecallEngine;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;
/**
 * The number of consecutive connections that were established but broke before they had caught up, after which the next
 * attempt still comes at once. The engine remembers only its last 256 events, so each delay may lose some. The limit
 * keeps apex from hammering an engine that closes every connection.
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

  /** Starts connecting; reconnects until disposal. Further calls have no effect. */
  start(): void {
    if (this.#stopping.signal.aborted) throw new TypeError("Cannot start a disposed EventFollower");
    this.#running ??= this.#run(this.#stopping.signal);
  }

  /**
   * Requests a new list and reconcile, for example after an impossible transition. Several requests in a row cause one
   * list.
   */
  requestReconcile(): void {
    this.#connection?.requestReconcile();
  }

  /** Engine time of the newest event, in nanoseconds; before the first event, that of the first connection. */
  get lastEngineTimeNano(): number | undefined {
    return this.#memory.newestNano;
  }

  /** Ends the connection, in any state. No handler is called after it has resolved. */
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
        // Aborted during the delay; anything else would be a bug.
        if (!abort.aborted) throw error;
      }
    }
  }

  /** Only failed attempts are delayed, not the first one after an established connection. */
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
