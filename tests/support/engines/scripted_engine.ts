/**
 * An engine whose replies a test decides: the list of containers, the event stream, and when they are sent. It has only the
 * part of the Engine API that is needed to follow events.
 */
import type { ContainerSummary } from "../../../src/engine/engine_types.ts";
import { CHUNKED_HEAD, httpChunk, httpReply, type RawExchange, RawHttpServer } from "./raw_http_server.ts";

/** 2026-01-01T00:00:00Z, the engine's time unless a test sets another. */
export const ENGINE_EPOCH_NANO = Date.UTC(2026, 0, 1) * 1e6;

export class ScriptedEngine implements AsyncDisposable {
  readonly #server: RawHttpServer;
  readonly #streams = new Set<RawExchange>();
  containers: ContainerSummary[] = [];
  engineId = "ENGINE-1";
  nowNano = ENGINE_EPOCH_NANO;
  /** The first lines of a new stream: the replay. */
  replay: string[] = [];
  /** The reply to a list, ping or stream waits until this resolves. */
  holdList: Promise<void> | undefined;
  holdPing: Promise<void> | undefined;
  holdStream: Promise<void> | undefined;
  /** How many of the next requests for the stream are answered with a status of 500. */
  failStreams = 0;
  /** The `since` of each requested stream. */
  readonly sinceAsked: string[] = [];
  readonly filtersAsked: string[] = [];
  lists = 0;
  pings = 0;

  constructor(socketPath: string) {
    this.#server = new RawHttpServer(socketPath, (exchange) => this.#answer(exchange));
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** Writes lines to every open stream, each as one chunk. */
  async say(...lines: string[]): Promise<void> {
    for (const stream of this.#streams) {
      for (const line of lines) await stream.write(httpChunk(`${line}\n`));
    }
  }

  /** Ends every stream cleanly. */
  async endStreams(): Promise<void> {
    for (const stream of this.#streams) await stream.write("0\r\n\r\n");
    this.#streams.clear();
  }

  /** Breaks every stream in the middle of a chunk. */
  async breakStreams(): Promise<void> {
    for (const stream of this.#streams) {
      await stream.write('40\r\n{"Type":"contai');
      stream.close();
    }
    this.#streams.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  async #answer(exchange: RawExchange): Promise<void> {
    const url = new URL(exchange.target, "http://engine");
    const path = url.pathname.replace(/^\/v1\.\d+/, "");
    switch (path) {
      case "/_ping":
        this.pings++;
        await this.holdPing;
        return await exchange.write(httpReply(200, "OK", { "Api-Version": "1.41" }));
      case "/version":
        return await exchange.write(
          httpReply(200, { Version: "20.10.24", ApiVersion: "1.41", Components: [] }),
        );
      case "/info":
        return await exchange.write(
          httpReply(200, { ID: this.engineId, SystemTime: new Date(this.nowNano / 1e6).toISOString() }),
        );
      case "/containers/json":
        this.lists++;
        await this.holdList;
        return await exchange.write(httpReply(200, this.containers));
      case "/events":
        return await this.#stream(exchange, url.searchParams);
      default:
        return await exchange.write(httpReply(404, { message: "page not found" }));
    }
  }

  async #stream(exchange: RawExchange, query: URLSearchParams): Promise<void> {
    this.sinceAsked.push(query.get("since") ?? "");
    this.filtersAsked.push(query.get("filters") ?? "");
    if (this.failStreams > 0) {
      this.failStreams--;
      return await exchange.write(httpReply(500, { message: "the event log is not available" }));
    }
    await this.holdStream;
    await exchange.write(CHUNKED_HEAD);
    for (const line of this.replay) await exchange.write(httpChunk(`${line}\n`));
    this.#streams.add(exchange);
    await exchange.closed;
    this.#streams.delete(exchange);
  }
}

/** Returns a line of the stream: an action of container `id`, `atMs` after {@linkcode ENGINE_EPOCH_NANO}. */
export function eventLine(action: string, id: string, atMs: number): string {
  const timeNano = ENGINE_EPOCH_NANO + atMs * 1e6;
  return JSON.stringify({
    Type: "container",
    Action: action,
    Actor: { ID: id, Attributes: { name: id, image: "img" } },
    time: Math.floor(timeNano / 1e9),
    timeNano,
  });
}

export function summary(id: string, state = "running"): ContainerSummary {
  return { Id: id, Names: [`/${id}`], Image: "img", Labels: {}, State: state, Status: "", Created: 0 };
}
