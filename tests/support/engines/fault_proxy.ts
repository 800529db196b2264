/**
 * A proxy between a client and a container engine, which breaks the event stream when a test requests it. It parses the
 * chunks of the stream, so each fault happens at a defined place.
 */
import { concat } from "@std/bytes/concat";
import { writeAll } from "../../../src/platform/unix_socket.ts";
import { within } from "../within.ts";

export type StreamFault =
  /** Half of the next event's line is sent, as a complete chunk, and then the reply ends cleanly. */
  | "cut_mid_line"
  /** Half of the next event's chunk is sent, and then the connection is closed. */
  | "cut_half_chunk"
  /** The reply ends cleanly after the next event. */
  | "end_cleanly"
  /** The connection is closed before the next event, which is lost. */
  | "drop_next"
  /** Invalid lines and an overlong one precede the next event in its chunk. */
  | "garbage";

interface Link {
  readonly client: Deno.UnixConn;
  readonly engine: Deno.UnixConn;
  hasStream: boolean;
}

const CRLF = Uint8Array.of(13, 10);
const LAST_CHUNK = new TextEncoder().encode("0\r\n\r\n");
const SERVER_ERROR = new TextEncoder().encode(
  'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 27\r\n\r\n{"message":"proxy says no"}',
);
const GARBAGE = new TextEncoder().encode(
  `\n{"Type":"container"\nnot json\n[]\nnull\n{"Type":1}\n\x1e\n\xff\n{"Action":"${
    "x".repeat(1_100_000)
  }"}\n`,
);

export class FaultProxy implements AsyncDisposable {
  readonly socketPath: string;
  readonly #enginePath: string;
  readonly #links = new Set<Link>();
  readonly #running = new Set<Promise<void>>();
  #listener: Deno.UnixListener | undefined;
  #accepting: Promise<void> = Promise.resolve();
  #nextFault: StreamFault | undefined;
  #streamErrors = 0;
  /** How many faults have happened. */
  hits = 0;

  constructor(socketPath: string, enginePath: string) {
    this.socketPath = socketPath;
    this.#enginePath = enginePath;
    this.accept();
  }

  /** Breaks the stream at its next event. */
  breakNext(fault: StreamFault): void {
    this.#nextFault = fault;
  }

  /** Answers the next `count` requests for the stream with a status of 500. */
  failStreams(count: number): void {
    this.#streamErrors = count;
  }

  /** Stops listening and closes all connections, as when the engine ends. */
  async refuse(): Promise<void> {
    this.#listener?.close();
    this.#listener = undefined;
    for (const link of this.#links) this.#cut(link);
    await within(10_000, "the end of the proxy's listener", this.#accepting);
    await Deno.remove(this.socketPath).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      // Deno 2.9 removes it when the listener is closed.
    });
  }

  /** Starts listening. */
  accept(): void {
    this.#listener = Deno.listen({ transport: "unix", path: this.socketPath });
    this.#accepting = this.#accept(this.#listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#listener !== undefined) await this.refuse();
    await within(10_000, "the end of the proxy's connections", Promise.all(this.#running));
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    while (true) {
      let client: Deno.UnixConn;
      try {
        client = await listener.accept();
      } catch (error) {
        if (this.#listener !== listener) return;
        throw error;
      }
      const running = this.#relay(client, listener);
      this.#running.add(running);
      void running.finally(() => this.#running.delete(running));
    }
  }

  async #relay(client: Deno.UnixConn, listener: Deno.UnixListener): Promise<void> {
    let engine: Deno.UnixConn;
    try {
      engine = await Deno.connect({ transport: "unix", path: this.#enginePath });
    } catch (error) {
      client.close();
      if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    const link: Link = { client, engine, hasStream: false };
    this.#links.add(link);
    // `refuse` was called before the link existed.
    if (this.#listener !== listener) this.#cut(link);
    await Promise.all([this.#requests(link), this.#replies(link)]);
    this.#cut(link);
  }

  async #requests(link: Link): Promise<void> {
    for await (const bytes of readAll(link.client)) {
      if (/^GET \S*\/events\?/.test(new TextDecoder("latin1").decode(bytes))) {
        if (this.#streamErrors > 0) {
          this.#streamErrors--;
          this.hits++;
          await writePieces(link.client, [SERVER_ERROR]);
          break;
        }
        link.hasStream = true;
      }
      await writePieces(link.engine, [bytes]);
    }
    this.#cut(link);
  }

  async #replies(link: Link): Promise<void> {
    let held = new Uint8Array();
    let isInStream = false;
    for await (const bytes of readAll(link.engine)) {
      if (!link.hasStream) {
        await writePieces(link.client, [bytes]);
        continue;
      }
      held = concat([held, bytes]);
      if (!isInStream) {
        const end = indexOf(held, "\r\n\r\n");
        if (end < 0) continue;
        await writePieces(link.client, [held.subarray(0, end + 4)]);
        held = held.slice(end + 4);
        isInStream = true;
      }
      for (let chunk = firstChunk(held); chunk !== undefined; chunk = firstChunk(held)) {
        held = held.slice(chunk.bytes);
        if (!await this.#passChunk(link, chunk.data)) return this.#cut(link);
      }
    }
    this.#cut(link);
  }

  /** Returns false if the connection must be closed. */
  async #passChunk({ client }: Link, data: Uint8Array): Promise<boolean> {
    const fault = data.length === 0 ? undefined : this.#nextFault;
    if (fault === undefined) {
      await writePieces(client, frame(data));
      return true;
    }
    this.#nextFault = undefined;
    this.hits++;
    switch (fault) {
      case "cut_mid_line":
        await writePieces(client, [...frame(data.subarray(0, data.length / 2)), LAST_CHUNK]);
        return false;
      case "cut_half_chunk": {
        const [size, body] = frame(data);
        await writePieces(client, [size!, body!.subarray(0, data.length / 2)]);
        return false;
      }
      case "end_cleanly":
        await writePieces(client, [...frame(data), LAST_CHUNK]);
        return false;
      case "drop_next":
        return false;
      case "garbage":
        await writePieces(client, frame(concat([GARBAGE, data])));
        return true;
    }
  }

  #cut(link: Link): void {
    if (!this.#links.delete(link)) return;
    link.client.close();
    link.engine.close();
  }
}

/** Returns the size line, the data and its CRLF. */
function frame(data: Uint8Array): Uint8Array[] {
  return [new TextEncoder().encode(`${data.length.toString(16)}\r\n`), data, CRLF];
}

/** Returns the data of the first complete chunk, and how many bytes the chunk has with its framing. */
function firstChunk(held: Uint8Array): { data: Uint8Array; bytes: number } | undefined {
  const sizeEnd = indexOf(held, "\r\n");
  if (sizeEnd < 0) return undefined;
  const size = parseInt(new TextDecoder().decode(held.subarray(0, sizeEnd)), 16);
  const bytes = sizeEnd + 2 + size + 2;
  if (held.length < bytes) return undefined;
  return { data: held.slice(sizeEnd + 2, sizeEnd + 2 + size), bytes };
}

function indexOf(bytes: Uint8Array, text: string): number {
  return new TextDecoder("latin1").decode(bytes).indexOf(text);
}

async function* readAll(conn: Deno.UnixConn): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(64 * 1024);
  while (true) {
    let count: number | null;
    try {
      count = await conn.read(piece);
    } catch (error) {
      if (!isClosed(error)) throw error;
      return;
    }
    if (count === null) return;
    yield piece.slice(0, count);
  }
}

async function writePieces(conn: Deno.UnixConn, pieces: readonly Uint8Array[]): Promise<void> {
  try {
    for (const piece of pieces) {
      await writeAll(conn, piece);
    }
  } catch (error) {
    if (!isClosed(error)) throw error;
    // The other side has closed the connection, which its own loop notices.
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.Interrupted;
}
