/**
 * An HTTP/1.1 server on a Unix socket for tests that decide every byte of a reply. It reads requests and passes them to a
 * handler, which writes the reply in any pieces and may break the connection. Connections are handled concurrently.
 */
export interface RawExchange {
  readonly method: string;
  /** Path and query, without an origin. */
  readonly target: string;
  readonly body: string;
  /** The number of the connection, and of the request on this connection, from 1. */
  readonly connection: number;
  readonly request: number;
  write(text: string | Uint8Array): Promise<void>;
  /** Closes the connection after everything was written. */
  close(): void;
  /** Resolves when the client, or the server, has closed the connection. */
  readonly closed: Promise<void>;
}

export type RawHandler = (exchange: RawExchange) => Promise<void> | void;

export class RawHttpServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly #listener: Deno.UnixListener;
  readonly #connections = new Set<Deno.UnixConn>();
  readonly #serving = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #accepted = 0;
  #closed = false;

  constructor(socketPath: string, handler: RawHandler) {
    this.socketPath = socketPath;
    this.#listener = Deno.listen({ transport: "unix", path: socketPath });
    this.#accepting = this.#accept(handler);
  }

  /** How many connections were accepted. */
  get accepted(): number {
    return this.#accepted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#listener.close();
      for (const connection of this.#connections) this.#drop(connection);
    }
    await this.#accepting;
    await Promise.all(this.#serving);
  }

  async #accept(handler: RawHandler): Promise<void> {
    while (true) {
      let connection: Deno.UnixConn;
      try {
        connection = await this.#listener.accept();
      } catch (error) {
        if (this.#closed) return;
        throw error;
      }
      this.#connections.add(connection);
      const serving = this.#serve(connection, ++this.#accepted, handler);
      this.#serving.add(serving);
      void serving.finally(() => this.#serving.delete(serving));
    }
  }

  async #serve(conn: Deno.UnixConn, connection: number, handler: RawHandler): Promise<void> {
    const closed = Promise.withResolvers<void>();
    const running: Promise<void>[] = [];
    let request = 0;
    try {
      for await (const { method, target, body } of readRequests(conn)) {
        running.push((async () => {
          await handler({
            method,
            target,
            body,
            connection,
            request: ++request,
            closed: closed.promise,
            write: (text) => this.#write(conn, text),
            close: () => this.#drop(conn),
          });
        })());
      }
    } finally {
      closed.resolve();
      this.#drop(conn);
      await Promise.all(running);
    }
  }

  async #write(conn: Deno.UnixConn, text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    try {
      for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
    } catch (error) {
      if (!isClosed(error)) throw error;
      // The client has disconnected. The test checks the client's side.
    }
  }

  #drop(conn: Deno.UnixConn): void {
    if (this.#connections.delete(conn)) conn.close();
  }
}

/** Returns a whole reply. A string is sent literally, any other body as JSON. */
export function httpReply(status: number, body: unknown, headers: Record<string, string> = {}): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const bytes = new TextEncoder().encode(text).length;
  const lines = Object.entries({ "Content-Length": String(bytes), ...headers });
  return `HTTP/1.1 ${status} Scripted\r\n${lines.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n${text}`;
}

export const CHUNKED_HEAD =
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

export function httpChunk(text: string): string {
  return `${new TextEncoder().encode(text).length.toString(16)}\r\n${text}\r\n`;
}

interface RawRequest {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

async function* readRequests(conn: Deno.UnixConn): AsyncGenerator<RawRequest> {
  const piece = new Uint8Array(64 * 1024);
  let held = "";
  while (true) {
    const end = held.indexOf("\r\n\r\n");
    if (end >= 0) {
      const head = held.slice(0, end);
      const bodyLength = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
      if (held.length >= end + 4 + bodyLength) {
        const [method = "", target = ""] = head.split(" ");
        const body = held.slice(end + 4, end + 4 + bodyLength);
        held = held.slice(end + 4 + bodyLength);
        yield { method, target: target.replace(/^http:\/\/[^/]*/, ""), body };
        continue;
      }
    }
    let count: number | null;
    try {
      count = await conn.read(piece);
    } catch (error) {
      if (!isClosed(error)) throw error;
      return;
    }
    if (count === null) return;
    held += new TextDecoder("latin1").decode(piece.subarray(0, count));
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.Interrupted;
}
