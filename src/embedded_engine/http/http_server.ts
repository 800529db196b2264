/**
 * Serves the embedded engine's connections. Owns the listener and every connection. Disposal stops accepting, aborts the
 * requests in flight, and waits for all connections to end. Requests are answered by the function `handle`.
 */
import type { Logger } from "../../platform/logger.ts";
import { acceptLoop } from "../../platform/unix_socket.ts";
import { type ConnectionOptions, serveConnection } from "./http_connection.ts";
import type { HttpReply, HttpRequest } from "./http_message.ts";

/** Above it a new connection is closed at once. Containers need descriptors too, three each. */
const MAX_CONNECTIONS = 1_024;

export interface HttpServerOptions {
  readonly listener: Deno.UnixListener;
  readonly handle: (request: HttpRequest) => Promise<HttpReply>;
  readonly ignoresBody: ConnectionOptions["ignoresBody"];
  readonly headers: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Called when the number of requests in flight rises above zero, or falls to it. */
  readonly onActivity: (requestsInFlight: number) => void;
}

export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #closing = new AbortController();
  readonly #connections = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #isListening = true;
  #requestsInFlight = 0;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { listener, logger } = options;
    this.#accepting = acceptLoop({ listener, logger, onConnection: (connection) => this.#serve(connection) });
  }

  /** Closes the listener; existing connections stay open. */
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
      logger.warn(`embedded engine: refused a connection: ${MAX_CONNECTIONS} are open already`);
      connection.close();
      return;
    }
    const served = serveConnection(connection, {
      handle: (request) => this.#counted(request, handle),
      ignoresBody,
      headers,
      logger,
      abort: this.#closing.signal,
    }).finally(() => this.#connections.delete(served));
    this.#connections.add(served);
  }

  /** A stream is in flight until it ends, so a client that follows events keeps the engine running. */
  async #counted(request: HttpRequest, handle: HttpServerOptions["handle"]): Promise<HttpReply> {
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
