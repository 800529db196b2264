import { concat } from "@std/bytes/concat";
import { writeAll } from "../../platform/unix_socket.ts";
import type { ChunkedReply, FixedReply, HttpReply } from "./http_message.ts";

const encoder = new TextEncoder();
const CRLF = encoder.encode("\r\n");

/** Reason phrases of the statuses that the embedded engine answers with. */
const STATUS_TEXT: Readonly<Record<number, string>> = {
  101: "UPGRADED",
  200: "OK",
  201: "Created",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  404: "Not Found",
  409: "Conflict",
  413: "Request Entity Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

interface WriteOptions {
  readonly keepAlive: boolean;
  /** Frame a stream in chunks. An HTTP/1.0 client gets it without frames, and its end is the connection's end. */
  readonly chunked: boolean;
  /** The request was a HEAD. */
  readonly headOnly: boolean;
}

/** Writes replies to one connection, with both framings of HTTP/1.1. */
export class ReplyWriter {
  readonly #connection: Deno.Conn;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param headers are sent with every reply */
  constructor(connection: Deno.Conn, headers: Readonly<Record<string, string>>) {
    this.#connection = connection;
    this.#headers = headers;
  }

  async write(reply: Exclude<HttpReply, { kind: "upgrade" }>, options: WriteOptions): Promise<void> {
    if (reply.kind === "fixed") return await this.#writeFixed(reply, options);
    await this.#writeStream(reply, options);
  }

  /** Lets a client that sent `Expect: 100-continue` send its body. */
  async writeContinue(): Promise<void> {
    await this.writeAll(encoder.encode("HTTP/1.1 100 Continue\r\n\r\n"));
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    await writeAll(this.#connection, bytes);
  }

  async #writeFixed(reply: FixedReply, options: WriteOptions): Promise<void> {
    const body = typeof reply.body === "string"
      ? encoder.encode(reply.body)
      : reply.body ?? new Uint8Array(0);
    const bodiless = reply.status === 204 || reply.status === 304;
    const length: Record<string, string> = bodiless ? {} : { "Content-Length": String(body.length) };
    const head = this.#head(reply, { ...reply.headers, ...length }, options);
    await this.writeAll(options.headOnly || bodiless ? head : concat([head, body]));
  }

  async #writeStream(reply: ChunkedReply, options: WriteOptions): Promise<void> {
    const framing: Record<string, string> = options.chunked ? { "Transfer-Encoding": "chunked" } : {};
    await this.writeAll(this.#head(reply, framing, options));
    if (options.headOnly) return;
    await reply.produce(async (chunk) => {
      if (chunk.length === 0) return; // An empty chunk would end the body.
      if (!options.chunked) return await this.writeAll(chunk);
      await this.writeAll(concat([encoder.encode(`${chunk.length.toString(16)}\r\n`), chunk, CRLF]));
    });
    if (options.chunked) await this.writeAll(encoder.encode("0\r\n\r\n"));
  }

  #head(reply: FixedReply | ChunkedReply, extra: Record<string, string>, options: WriteOptions): Uint8Array {
    const headers: Record<string, string> = { ...this.#headers, ...extra };
    if (reply.contentType !== undefined) headers["Content-Type"] = reply.contentType;
    if (!options.keepAlive) headers["Connection"] = "close";
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    return encoder.encode(`HTTP/1.1 ${reply.status} ${STATUS_TEXT[reply.status] ?? ""}\r\n${lines}\r\n`);
  }
}
