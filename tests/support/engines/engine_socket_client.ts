/** A client of an engine's socket, for tests that compare the embedded engine with Docker. */
import { concat } from "@std/bytes/concat";
import { within } from "../within.ts";

const LIMIT_MS = 20_000;

export interface Reply {
  readonly status: number;
  readonly type: string;
  /** The parsed body if it is one JSON value, otherwise its bytes. */
  // deno-lint-ignore no-explicit-any -- JSON of the engine under test
  readonly body: any;
}

export class EngineSocketClient implements Disposable {
  readonly #socketPath: string;
  readonly #client: Deno.HttpClient;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
  }

  async call(method: string, path: string, body?: unknown): Promise<Reply> {
    const response = await fetch(`http://localhost${path}`, {
      method,
      client: this.#client,
      ...body !== undefined && {
        body: JSON.stringify(body),
        headers: { "Content-Type": "application/json" },
      },
    });
    const type = response.headers.get("content-type") ?? "";
    const bytes = await within(LIMIT_MS, `${method} ${path}`, response.bytes());
    const isJson = type.startsWith("application/json") && bytes.length > 0 && !path.startsWith("/events");
    return {
      status: response.status,
      type,
      body: isJson ? JSON.parse(new TextDecoder().decode(bytes)) : bytes,
    };
  }

  /** Sends a request on a new connection, which is used for nothing else. */
  async open(method: string, path: string, options: OpenOptions = {}): Promise<OpenStream> {
    const connection = await Deno.connect({ transport: "unix", path: this.#socketPath });
    const body = options.body === undefined ? "" : JSON.stringify(options.body);
    const upgrade = options.upgrade === false ? "" : "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    const type = body === "" ? "" : "Content-Type: application/json\r\n";
    const head =
      `${method} ${path} HTTP/1.1\r\nHost: x\r\n${upgrade}${type}Content-Length: ${body.length}\r\n\r\n`;
    const stream = new OpenStream(connection);
    await stream.write(head + body);
    await within(LIMIT_MS, `the head of ${path}`, stream.readHead());
    return stream;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

export interface OpenOptions {
  readonly body?: unknown;
  /** Requests an upgrade unless false. */
  readonly upgrade?: boolean;
}

/** An upgraded connection: bytes in both directions, after the head of the reply. */
export class OpenStream implements Disposable {
  readonly #connection: Deno.UnixConn;
  #received: Uint8Array = new Uint8Array(0);
  #ended = false;
  /** The lines of the reply's head. */
  head: readonly string[] = [];

  constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  get status(): number {
    return Number(this.head[0]?.split(" ")[1]);
  }

  /** The received bytes that were not taken yet. */
  get received(): Uint8Array {
    return this.#received;
  }

  async write(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  async closeWrite(): Promise<void> {
    await this.#connection.closeWrite();
  }

  async readHead(): Promise<void> {
    const end = () => latin1(this.#received).indexOf("\r\n\r\n");
    while (end() < 0 && await this.#readMore());
    this.head = latin1(this.#received.subarray(0, end())).split("\r\n");
    this.#received = this.#received.slice(end() + 4);
  }

  /** Reads until the received bytes contain `text`, and takes everything up to its end. */
  async until(text: string): Promise<string> {
    const found = () => latin1(this.#received).indexOf(text);
    const reading = async () => {
      while (found() < 0 && await this.#readMore());
    };
    await within(
      LIMIT_MS,
      `${JSON.stringify(text)}; received ${JSON.stringify(latin1(this.#received))}`,
      reading(),
    );
    if (found() < 0) {
      throw new Error(`ended before ${JSON.stringify(text)}: ${JSON.stringify(latin1(this.#received))}`);
    }
    const end = found() + text.length;
    const taken = latin1(this.#received.subarray(0, end));
    this.#received = this.#received.slice(end);
    return taken;
  }

  /** Reads to the end, and takes everything. */
  async rest(): Promise<Uint8Array> {
    const chunks = [this.#received];
    this.#received = new Uint8Array(0);
    const reading = async () => {
      for (let chunk = await this.#read(); chunk !== undefined; chunk = await this.#read()) {
        chunks.push(chunk);
      }
    };
    await within(LIMIT_MS, "the end of the stream", reading());
    return concat(chunks);
  }

  async #readMore(): Promise<boolean> {
    const chunk = await this.#read();
    if (chunk === undefined) return false;
    this.#received = concat([this.#received, chunk]);
    return true;
  }

  async #read(): Promise<Uint8Array | undefined> {
    const chunk = new Uint8Array(65_536);
    const count = this.#ended ? null : await this.#connection.read(chunk);
    this.#ended = count === null;
    return count === null ? undefined : chunk.slice(0, count);
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** Returns the texts of frames, by stream. */
export function unframed(bytes: Uint8Array): { stdout: string; stderr: string } {
  const texts = { stdout: "", stderr: "" };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    const end = at + 8 + view.getUint32(at + 4);
    if (end > bytes.length) throw new Error("a frame is incomplete");
    texts[bytes[at] === 2 ? "stderr" : "stdout"] += latin1(bytes.subarray(at + 8, end));
    at = end;
  }
  return texts;
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
