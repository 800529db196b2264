/**
 * HTTP to a container engine over its Unix socket: it manages connections and knows nothing of the API. It owns two
 * HTTP clients of the runtime. GET and HEAD share kept-alive connections. The engine may have closed such a connection
 * while it was idle; the request is then repeated once, on a new connection. All other methods must not be repeated, so
 * they never use a kept-alive connection.
 */
import { Deadline, DeadlineExceeded } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import { EngineError } from "./engine_error.ts";

export interface TransportRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  readonly abort?: AbortSignal | undefined;
  /** Until the headers of the reply arrive; 0: no limit. */
  readonly timeoutMs: number;
}

export interface EngineTransportOptions {
  readonly socketPath: string;
  /** Where the socket path comes from, for messages. */
  readonly source?: string | undefined;
  readonly clock: Clock;
}

/** The errors of a kept-alive connection that the engine has closed, in Deno 2.4 and 2.9. */
const STALE = /connection closed before message completed|connection reset by peer|broken pipe/i;

const CONNECT_FAILURES: readonly (readonly [RegExp, string])[] = [
  [/no such file or directory/i, "no such socket; is the engine running?"],
  [/connection refused/i, "connection refused; is the engine running?"],
  [/permission denied/i, "permission denied; may this user open the socket (for Docker: group docker)?"],
];

export class EngineTransport implements Disposable {
  readonly #socketPath: string;
  readonly #source: string | undefined;
  readonly #clock: Clock;
  readonly #kept: Deno.HttpClient;
  readonly #fresh: Deno.HttpClient;
  #disposed = false;

  constructor({ socketPath, source, clock }: EngineTransportOptions) {
    this.#socketPath = socketPath;
    this.#source = source;
    this.#clock = clock;
    const proxy = { transport: "unix", path: socketPath } as const;
    this.#kept = Deno.createHttpClient({ proxy });
    this.#fresh = Deno.createHttpClient({ proxy, poolMaxIdlePerHost: 0 });
  }

  /** The socket and its source, for messages. */
  get place(): string {
    return this.#source === undefined ? this.#socketPath : `${this.#socketPath} (from ${this.#source})`;
  }

  /**
   * Sends a request; resolves when the headers of the reply arrive, whatever its status. The caller reads or cancels
   * the body.
   * @throws {EngineError} when no reply arrives
   * @throws the reason of `abort` when it aborts
   */
  async send(request: TransportRequest): Promise<Response> {
    const deadline = new Deadline(request.timeoutMs, { clock: this.#clock, abort: request.abort });
    try {
      const response = await this.#fetchTwice(request, deadline.abortSignal);
      // The caller's signal also applies to the body, so the deadline keeps following it.
      deadline.lift();
      return response;
    } catch (error) {
      deadline[Symbol.dispose]();
      throw this.#explain(error, request, deadline.abortSignal);
    }
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#kept.close();
    this.#fresh.close();
  }

  async #fetchTwice(request: TransportRequest, abort: AbortSignal): Promise<Response> {
    const mayRepeat = request.method === "GET" || request.method === "HEAD";
    try {
      return await this.#fetch(mayRepeat ? this.#kept : this.#fresh, request, abort);
    } catch (error) {
      if (!mayRepeat || abort.aborted || !STALE.test(detailOf(error))) throw error;
      return await this.#fetch(this.#fresh, request, abort);
    }
  }

  #fetch(client: Deno.HttpClient, request: TransportRequest, abort: AbortSignal): Promise<Response> {
    return fetch(`http://localhost${request.target}`, {
      client,
      method: request.method,
      body: request.body ?? null,
      headers: request.headers ?? {},
      redirect: "error",
      signal: abort,
    });
  }

  #explain(error: unknown, { method, target }: TransportRequest, abort: AbortSignal): unknown {
    const path = target.replace(/\?.*$/, "");
    if (abort.aborted) {
      if (!(abort.reason instanceof DeadlineExceeded)) return abort.reason;
      const message = `the engine at ${this.place} did not reply to ${method} ${path} within ` +
        `${abort.reason.timeoutMs / 1000} s`;
      return new EngineError(message, { cause: abort.reason });
    }
    const detail = detailOf(error);
    if (detail.includes("(Connect)")) {
      const known = CONNECT_FAILURES.find(([pattern]) => pattern.test(detail))?.[1];
      return new EngineError(`cannot reach the engine at ${this.place}: ${known ?? plain(detail)}`, {
        cause: error,
      });
    }
    const message = `the engine at ${this.place} broke the connection during ${method} ${path}: ${
      plain(detail)
    }`;
    return new EngineError(message, { cause: error });
  }
}

/** Removes the URL of the request, the stage of the transport and the error number. */
function plain(detail: string): string {
  return detail.replace(/^.*client error \(\w+\): /s, "").replace(/ \(os error \d+\)/g, "");
}

/** The transport's error text: Deno 2.4 has it in the message; 2.9 says "fetch failed" and has it in the cause. */
function detailOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  return cause === undefined ? message : `${message}: ${cause instanceof Error ? cause.message : cause}`;
}
