/**
 * The accept loop of the embedded engine. Owns the listener and every connection; disposal ends the loop, aborts what
 * is in flight, and waits for all of it. Knows nothing of containers: it is given a function that answers a request.
 */
import { delay } from "@std/async/delay";
import { messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import { serveConnection } from "./http_connection.ts";
import type { HttpReply, HttpRequest } from "./http_message.ts";

/** Beyond it a new connection is closed at once: descriptors are needed for containers (three each) too. */
const MAX_CONNECTIONS = 1_024;
/** Pause after a failed accept: out of descriptors, it would fail again at once. */
const ACCEPT_RETRY_MS = 50;

export interface EngineServerOptions {
  readonly listener: Deno.Listener;
  readonly handle: (request: HttpRequest) => Promise<HttpReply>;
  readonly headers: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Called when the number of requests in flight rises above zero, or falls to it. */
  readonly onActivity: (requestsInFlight: number) => void;
}

export class EngineServer implements AsyncDisposable {
  readonly #options: EngineServerOptions;
  readonly #closing = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #requestsInFlight = 0;

  constructor(options: EngineServerOptions) {
    this.#options = options;
    this.#accepting = this.#accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      this.#options.listener.close();
    }
    await this.#accepting;
    await Promise.all(this.#connections);
  }

  async #accept(): Promise<void> {
    const { listener, logger } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      let connection: Deno.Conn;
      try {
        connection = await listener.accept();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn(`embedded engine: cannot accept a connection: ${messageOf(error)}`);
        await pause(ACCEPT_RETRY_MS, signal);
        continue;
      }
      if (this.#connections.size >= MAX_CONNECTIONS) {
        logger.warn(`embedded engine: more than ${MAX_CONNECTIONS} connections, one was refused`);
        connection.close();
        continue;
      }
      const { handle, headers } = this.#options;
      const served = serveConnection(connection, {
        handle: (request) => this.#counted(request, handle),
        headers,
        logger,
        signal,
      }).finally(() => this.#connections.delete(served));
      this.#connections.add(served);
    }
  }

  /** A stream is in flight until it ends, so whoever follows events keeps the engine alive. */
  async #counted(request: HttpRequest, handle: EngineServerOptions["handle"]): Promise<HttpReply> {
    this.#enter();
    let leaves = true;
    try {
      const reply = await handle(request);
      if (reply.kind === "fixed") return reply;
      leaves = false;
      if (reply.kind === "stream") {
        return { ...reply, produce: (write) => reply.produce(write).finally(() => this.#leave()) };
      }
      return { ...reply, serve: (connection) => reply.serve(connection).finally(() => this.#leave()) };
    } finally {
      if (leaves) this.#leave();
    }
  }

  #enter(): void {
    this.#requestsInFlight++;
    this.#options.onActivity(this.#requestsInFlight);
  }

  #leave(): void {
    this.#requestsInFlight--;
    this.#options.onActivity(this.#requestsInFlight);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, { signal });
  } catch (error) {
    if (!signal.aborted) throw error; // Woken early by the close is what the signal is for.
  }
}
