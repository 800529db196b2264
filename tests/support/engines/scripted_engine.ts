/**
 * An engine of which a test decides every reply: what it lists, when, and what its event stream says. It speaks just
 * the part of the Engine API that following needs.
 */
import type { ContainerSummary } from "../../../src/engine/engine_types.ts";
import { CHUNKED_HEAD, httpChunk, httpReply, type RawExchange, RawHttpServer } from "./raw_http_server.ts";

/** 2026-01-01T00:00:00Z, where an engine's clock stands unless told otherwise. */
export const ENGINE_EPOCH_NANO = Date.UTC(2026, 0, 1) * 1e6;

export class ScriptedEngine implements AsyncDisposable {
  readonly #server: RawHttpServer;
  readonly #streams = new Set<RawExchange>();
  containers: ContainerSummary[] = [];
  engineId = "ENGINE-1";
  nowNano = ENGINE_EPOCH_NANO;
  /** Lines that a new stream begins with: the replay. */
  replay: string[] = [];
  /** A list, ping or stream waits for it before the reply. */
  holdList: Promise<void> | undefined;
  holdPing: Promise<void> | undefined;
  holdStream: Promise<void> | undefined;
  /** Answers the next requests for the stream with a 500. */
  failStreams = 0;
  /** `since` of each stream asked for, and how many lists and pings were. */
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

  /** Writes lines into every open stream, each a chunk of its own. */
  async say(...lines: string[]): Promise<void> {
    for (const stream of this.#streams) {
      for (const line of lines) await stream.write(httpChunk(`${line}\n`));
    }
  }

  /** Ends every stream as a clean HTTP reply ends. */
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
      return await exchange.write(httpReply(500, { message: "the event log is on fire" }));
    }
    await this.holdStream;
    await exchange.write(CHUNKED_HEAD);
    for (const line of this.replay) await exchange.write(httpChunk(`${line}\n`));
    this.#streams.add(exchange);
    await exchange.closed;
    this.#streams.delete(exchange);
  }
}

/** A line of the stream: an action of container `id`, `atMs` after {@linkcode ENGINE_EPOCH_NANO}. */
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
