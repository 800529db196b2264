/**
 * Serves the embedded engine's connections. Owns the listener and every connection; disposal ends accepting, aborts what
 * is in flight, and waits for all of it. Knows nothing of containers: it is given a function that answers a request.
 */
import type { Logger } from "../platform/logger.ts";
import { acceptLoop } from "../platform/unix_socket.ts";
import { type ConnectionOptions, serveConnection } from "./http/http_connection.ts";
import type { HttpReply, HttpRequest } from "./http/http_message.ts";

/** Beyond it a new connection is closed at once: descriptors are needed for containers (three each) too. */
const MAX_CONNECTIONS = 1_024;

export interface EngineServerOptions {
  readonly listener: Deno.UnixListener;
  readonly handle: (request: HttpRequest) => Promise<HttpReply>;
  readonly ignoresBody: ConnectionOptions["ignoresBody"];
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
  #isListening = true;
  #requestsInFlight = 0;

  constructor(options: EngineServerOptions) {
    this.#options = options;
    const { listener, logger } = options;
    this.#accepting = acceptLoop({ listener, logger, onConnection: (connection) => this.#serve(connection) });
  }

  /** Closes the listener; the connections that are there stay. */
  async stopAccepting(): Promise<void> {
    if (this.#isListening) {
      this.#isListening = false;
      this.#options.listener.close();
    }
    await this.#accepting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAccepting();
    this.#closing.abort();
    await Promise.all(this.#connections);
  }

  #serve(connection: Deno.Conn): void {
    const { handle, ignoresBody, headers, logger } = this.#options;
    if (this.#connections.size >= MAX_CONNECTIONS) {
      logger.warn(`embedded engine: more than ${MAX_CONNECTIONS} connections, one was refused`);
      connection.close();
      return;
    }
    const served = serveConnection(connection, {
      handle: (request) => this.#counted(request, handle),
      ignoresBody,
      headers,
      logger,
      signal: this.#closing.signal,
    }).finally(() => this.#connections.delete(served));
    this.#connections.add(served);
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
      return {
        ...reply,
        serve: (connection) => reply.serve(connection).finally(() => this.#leave()),
        abandon: () => {
          reply.abandon();
          this.#leave();
        },
      };
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
