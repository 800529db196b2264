/**
 * What apex asks a container engine: the Docker Engine API over a Unix socket, one method a question, and `request` for
 * the operations that other layers build on it. It owns the transport and remembers what was negotiated; it holds no
 * container state.
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
  /** What named the socket, for messages: `EngineAddress.source`. */
  readonly source?: string;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

export interface EngineRequestOptions {
  /** `undefined` values are left out; objects go as JSON (the engine's `filters`). */
  readonly query?: Readonly<Record<string, unknown>>;
  /** Bytes and streams go as they are; anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborts the request, and the reading of its reply's body. */
  readonly abort?: AbortSignal | undefined;
  /** Until the reply's headers are here. Default 30 s; 0: no limit (`/wait`, a stop with a long grace). */
  readonly timeoutMs?: number;
}

export interface JsonRequestOptions extends Omit<EngineRequestOptions, "timeoutMs"> {
  /** Until the whole reply is here. Default 30 s; 0: no limit (`/wait`). */
  readonly timeoutMs?: number;
  /** Whether the reply is what was asked for; an empty one is undefined. Default: any object. */
  readonly isRight?: (reply: unknown) => boolean;
}

export interface OpenEventsOptions {
  /** Replay from this engine time on, ns (Docker: inclusive, Podman: exclusive and in whole seconds). */
  readonly sinceNano?: number;
  /** Ends the stream, also while it is iterated. */
  readonly abort: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** A list of 10,000 containers with many labels is some 20 MB. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

/** Requests to the engine behind one socket. Connects when first asked; a dead engine makes each request fail anew. */
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
   * Which engine this is. Asked once, then answered from memory until {@linkcode forget}.
   * @throws {EngineError} when it can't be reached or is too old
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

  /** Forgets what was negotiated: the next request asks anew. Call it when the engine may have been replaced. */
  forget(): void {
    this.#apiVersion = undefined;
    this.#identity = undefined;
  }

  info(abort?: AbortSignal): Promise<EngineInfo> {
    const isInfo = (reply: unknown) =>
      isObject(reply) && typeof reply.ID === "string" && typeof reply.SystemTime === "string";
    return this.requestJson("GET", "/info", { isRight: isInfo, abort });
  }

  /** Resolves when the engine answers. */
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

  /** @throws {EngineError} `not_found` when it is gone */
  inspectContainer(id: string, abort?: AbortSignal): Promise<ContainerInspect> {
    return this.requestJson("GET", `/containers/${encodeURIComponent(id)}/json`, { abort });
  }

  /**
   * Sends a request of the versioned API and reads its reply as JSON.
   * @throws {EngineError} as {@linkcode request}, and for a reply that is not right; the signal's reason when it aborts
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
   * Sends a request of the versioned API. The caller reads or cancels the reply's body. Status 2xx and 304 (it was so
   * already) are returned.
   * @param path without the version, as `/containers/create`
   * @throws {EngineError} for every other status, and when no reply comes; the signal's reason when it aborts
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
   * As {@linkcode request} with GET, for the body of a long reply, which comes in large pieces. Cancelling it ends it; the
   * signal holds for the attempt alone.
   * @param options.timeoutMs until the reply's head is here; 0: no limit
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
   * Opens the stream of container events; resolves when its headers are here. Health probes' `exec_*` are not in it.
   * The stream ends when the engine ends it cleanly, and throws when it breaks or `signal` aborts.
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

  /** The API version that `/_ping` names, which is the same under every version prefix. */
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
