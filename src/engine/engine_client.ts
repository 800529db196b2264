/**
 * The Docker Engine API over a Unix socket: one method per question, and `request` for the operations that other rooms
 * build on it. The client owns the transport and remembers the negotiated version. It holds no container state.
 */
import { messageOf } from "../platform/apex_error.ts";
import { Deadline } from "../platform/async/deadline.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import type {
  ContainerInspect,
  ContainerSummary,
  EngineIdentity,
  EngineInfo,
  EngineKind,
  EngineVersion,
} from "./engine_types.ts";
import { formatEngineTime } from "./events/engine_time.ts";
import { type EngineEvent, eventFilters, readEvents } from "./events/event_stream.ts";
import { negotiateApiVersion } from "./http/api_version.ts";
import { EngineError, readRefusal } from "./http/engine_error.ts";
import { EngineTransport, type TransportRequest } from "./http/engine_transport.ts";
import { openLongReply } from "./http/long_reply.ts";
import { readBoundedText } from "./http/reply_body.ts";

export type { EngineIdentity, EngineKind } from "./engine_types.ts";

export interface EngineClientOptions {
  readonly socketPath: string;
  /** Where the socket path comes from, for messages: `EngineAddress.source`. */
  readonly source?: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

export interface EngineRequestOptions {
  /** `undefined` values are left out; objects are sent as JSON (the engine's `filters`). */
  readonly query?: Readonly<Record<string, unknown>>;
  /** Bytes and streams are sent as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborts the request and the reading of the reply's body. */
  readonly abort?: AbortSignal | undefined;
  /** Until the headers of the reply arrive. Default 30 s; 0: no limit (`/wait`, a stop with a long grace period). */
  readonly timeoutMs?: number;
}

export interface JsonRequestOptions extends Omit<EngineRequestOptions, "timeoutMs"> {
  /** Until the whole reply has arrived. Default 30 s; 0: no limit (`/wait`). */
  readonly timeoutMs?: number;
  /** Validates the reply; an empty one is undefined. Default: any object. */
  readonly isRight?: (reply: unknown) => boolean;
}

export interface OpenEventsOptions {
  /** Replay from this engine time, ns (Docker: inclusive; Podman: exclusive, in whole seconds). */
  readonly sinceNano?: number;
  /** Ends the stream, also while it is iterated. */
  readonly abort: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** A list of 10,000 containers with many labels has some 20 MB. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

/**
 * Sends requests to the engine behind one socket. Construction does not connect; when the engine is down, each request
 * fails.
 */
export class EngineClient implements Disposable {
  readonly socketPath: string;
  readonly #transport: EngineTransport;
  readonly #logger: Logger;
  readonly #clock: Clock;
  #apiVersion: string | undefined;
  #identity: EngineIdentity | undefined;

  constructor({ socketPath, source, logger = silentLogger, clock = systemClock }: EngineClientOptions) {
    this.socketPath = socketPath;
    this.#transport = new EngineTransport({ socketPath, source, clock });
    this.#logger = logger;
    this.#clock = clock;
  }

  /**
   * Identifies the engine. The answer is cached until {@linkcode forget}.
   * @throws {EngineError} when the engine cannot be reached or is too old
   */
  async identify(abort?: AbortSignal): Promise<EngineIdentity> {
    if (this.#identity !== undefined) return this.#identity;
    const version: EngineVersion = await this.requestJson("GET", "/version", { abort });
    const podman = version.Components?.find((component) => component.Name === "Podman Engine");
    const kind: EngineKind = podman !== undefined
      ? "podman"
      : version.Platform?.Name === "apex embedded engine"
      ? "embedded"
      : "docker";
    const apiVersion = await this.#negotiate(abort);
    return this.#identity = { kind, version: podman?.Version ?? version.Version, apiVersion };
  }

  /** Drops the negotiated version and identity. Call it when another engine may have taken the socket over. */
  forget(): void {
    this.#apiVersion = undefined;
    this.#identity = undefined;
  }

  info(abort?: AbortSignal): Promise<EngineInfo> {
    const isInfo = (reply: unknown) =>
      isObject(reply) && typeof reply.ID === "string" && typeof reply.SystemTime === "string";
    return this.requestJson("GET", "/info", { isRight: isInfo, abort });
  }

  /** Resolves when the engine replies. */
  async ping(abort?: AbortSignal): Promise<void> {
    await this.#askPing(abort);
  }

  /** All containers, stopped ones too. */
  listContainers(abort?: AbortSignal): Promise<ContainerSummary[]> {
    return this.requestJson("GET", "/containers/json", {
      isRight: Array.isArray,
      query: { all: 1 },
      abort,
    });
  }

  /** @throws {EngineError} `not_found` when the container does not exist */
  inspectContainer(id: string, abort?: AbortSignal): Promise<ContainerInspect> {
    return this.requestJson("GET", `/containers/${encodeURIComponent(id)}/json`, { abort });
  }

  /**
   * Sends a request of the versioned API and reads the reply as JSON.
   * @throws {EngineError} as {@linkcode request}, and for an invalid reply
   * @throws the reason of `abort` when it aborts
   */
  async requestJson<T>(method: string, path: string, options: JsonRequestOptions = {}): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, isRight = isObject, ...request } = options;
    using deadline = new Deadline(timeoutMs, { clock: this.#clock, abort: options.abort });
    const response = await this.request(method, path, {
      ...request,
      abort: deadline.abortSignal,
      timeoutMs: 0,
    });
    try {
      const text = await readBoundedText(response, {
        maxBytes: MAX_REPLY_BYTES,
        abort: deadline.abortSignal,
      });
      const reply: unknown = text === "" ? undefined : JSON.parse(text);
      if (!isRight(reply)) throw new SyntaxError("it is not what the Docker API defines");
      return reply as T;
    } catch (error) {
      options.abort?.throwIfAborted();
      const reason: unknown = deadline.abortSignal.aborted ? deadline.abortSignal.reason : error;
      const message = `the engine's reply to ${method} ${path} cannot be read: ${messageOf(reason)}`;
      throw new EngineError(message, { cause: error });
    }
  }

  /**
   * Sends a request of the versioned API. The caller reads or cancels the body. Returns for status 2xx and 304 (already
   * in that state).
   * @param path without the version, for example `/containers/create`
   * @throws {EngineError} for every other status, and when no reply arrives
   * @throws the reason of `abort` when it aborts
   */
  async request(method: string, path: string, options: EngineRequestOptions = {}): Promise<Response> {
    const { query = {}, headers = {}, abort, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const apiVersion = await this.#negotiate(abort);
    const isRaw = options.body instanceof Uint8Array || options.body instanceof ReadableStream;
    return await this.#checked({
      method,
      target: `/v${apiVersion}${path}${queryString(query)}`,
      abort,
      timeoutMs,
      ...(options.body === undefined ? { headers } : {
        body: isRaw ? options.body as BodyInit : JSON.stringify(options.body),
        headers: { "content-type": isRaw ? "application/x-tar" : "application/json", ...headers },
      }),
    });
  }

  /**
   * Like {@linkcode request} with GET, for a long body, which is read in large pieces. Cancelling the body closes the
   * connection; `abort` applies only until the head of the reply arrives.
   * @param options.timeoutMs until the head of the reply arrives; 0: no limit
   */
  async openLong(
    path: string,
    options: Pick<EngineRequestOptions, "query" | "abort" | "timeoutMs"> = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const { query = {}, abort, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    const target = `/v${await this.#negotiate(abort)}${path}${queryString(query)}`;
    return await openLongReply({
      socketPath: this.socketPath,
      target,
      abort,
      timeoutMs,
      clock: this.#clock,
    });
  }

  /**
   * Opens the stream of container events; resolves when its headers arrive. The `exec_*` events of health probes are
   * left out. The iteration ends when the engine ends the stream, and throws when the connection breaks or `abort`
   * aborts.
   */
  async openEvents({ sinceNano, abort }: OpenEventsOptions): Promise<AsyncIterable<EngineEvent>> {
    const { kind } = await this.identify(abort);
    const filters = eventFilters(kind);
    const since = sinceNano === undefined ? undefined : formatEngineTime(sinceNano);
    const response = await this.request("GET", "/events", { query: { since, filters }, abort });
    if (response.body === null) throw new EngineError("the engine's event stream has no body");
    return readEvents(response.body, { logger: this.#logger, abort });
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  async #negotiate(abort: AbortSignal | undefined): Promise<string> {
    if (this.#apiVersion !== undefined) return this.#apiVersion;
    return this.#apiVersion = negotiateApiVersion(await this.#askPing(abort), this.#transport.place);
  }

  /** Returns the API version that `/_ping` reports, the same under every version prefix. */
  async #askPing(abort: AbortSignal | undefined): Promise<string | null> {
    using deadline = new Deadline(DEFAULT_TIMEOUT_MS, { clock: this.#clock, abort });
    const response = await this.#checked({
      method: "GET",
      target: "/_ping",
      timeoutMs: 0,
      abort: deadline.abortSignal,
    });
    await response.body?.cancel();
    return response.headers.get("api-version");
  }

  async #checked(request: TransportRequest): Promise<Response> {
    const response = await this.#transport.send(request);
    if (response.ok || response.status === 304) return response;
    throw await readRefusal(response, { request, clock: this.#clock });
  }
}

function queryString(query: Readonly<Record<string, unknown>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    parameters.append(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
