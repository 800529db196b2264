/**
 * One client's connection: reads a request, calls the handler, writes the reply, and repeats until either side ends it.
 * Requests are answered in their order, one after another. Pipelining works; the reader bounds it. A reply may be a stream,
 * or take over the connection. HTTP/1.1 is implemented here because `Deno.serve` cannot hand over a connection, and
 * `node:http` of Deno 2.4 cannot listen on a Unix socket.
 */
import { messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";
import { errorReply, HttpError, type HttpReply, type HttpRequest } from "./http_message.ts";
import { ReplyWriter } from "./reply_writer.ts";
import type { RequestHead } from "./request_parser.ts";
import { isDisconnect, RequestReader } from "./request_reader.ts";

/** From the first byte of a request to its last. After that the connection is closed. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How long a reply in flight may take to end when the engine closes. */
const CLOSE_GRACE_MS = 500;

export interface ConnectionOptions {
  /** Answers a request; an {@linkcode HttpError} becomes its status, any other error a 500. */
  readonly handle: (request: HttpRequest) => Promise<HttpReply>;
  /** Requests whose body may have any size: it is read and dropped, and the handler gets an empty one. */
  readonly ignoresBody: (head: RequestHead) => boolean;
  /** Sent with every reply. */
  readonly headers: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Aborts when the engine closes: requests in flight are aborted, and the connection ends. */
  readonly abort: AbortSignal;
}

/** Serves `connection` until it ends, and closes it. No action of the client makes it reject. */
export async function serveConnection(connection: Deno.Conn, options: ConnectionOptions): Promise<void> {
  const reader = new RequestReader(connection);
  const writer = new ReplyWriter(connection, options.headers);
  let answering = false;
  let graceTimer: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    if (answering) graceTimer = setTimeout(() => closeQuietly(connection), CLOSE_GRACE_MS);
    else closeQuietly(connection);
  };
  options.abort.addEventListener("abort", end, { once: true });
  try {
    while (!options.abort.aborted) {
      const received = await receive(connection, { reader, writer, options });
      if (received === undefined) return;
      answering = true;
      if (!(await reply(connection, { reader, writer, options, received }))) return;
      answering = false;
    }
  } catch (error) {
    if (!isDisconnect(error)) {
      options.logger.warn(`embedded engine: a connection failed: ${messageOf(error)}`);
    }
  } finally {
    options.abort.removeEventListener("abort", end);
    clearTimeout(graceTimer);
    closeQuietly(connection);
    await reader.settled();
  }
}

interface Wire {
  readonly reader: RequestReader;
  readonly writer: ReplyWriter;
  readonly options: ConnectionOptions;
}

interface Received {
  readonly head: RequestHead;
  readonly body: Uint8Array;
}

/** Reads the next request; undefined when the client ended, or when its request was refused. */
async function receive(
  connection: Deno.Conn,
  { reader, writer, options }: Wire,
): Promise<Received | undefined> {
  if (!(await reader.arrives())) return undefined;
  const timer = setTimeout(() => closeQuietly(connection), REQUEST_TIMEOUT_MS);
  try {
    const head = await reader.readHead();
    if (head.headers.get("expect")?.toLowerCase() === "100-continue") await writer.writeContinue();
    if (!options.ignoresBody(head)) return { head, body: await reader.readBody(head) };
    await reader.discardBody(head);
    return { head, body: new Uint8Array(0) };
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    // It is unknown where the next request would begin, so the connection ends here.
    await writer.write(errorReply(error.status, error.message), {
      keepAlive: false,
      chunked: true,
      headOnly: false,
    });
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Answers one request; false when the connection has to end after it. */
async function reply(
  connection: Deno.Conn,
  { reader, writer, options, received: { head, body } }: Wire & { received: Received },
): Promise<boolean> {
  const over = new AbortController();
  const answered = new AbortController();
  const watching = reader.watch(() => over.abort(), answered.signal);
  const close = (): void => over.abort();
  options.abort.addEventListener("abort", close, { once: true });
  if (options.abort.aborted) close();
  try {
    const { method, path, query, headers, keepAlive, chunkedReplies } = head;
    const httpReply = await answer({ method, path, query, headers, body, abort: over.signal }, options);
    if (httpReply.kind === "upgrade") {
      answered.abort();
      try {
        await writer.writeAll(new TextEncoder().encode(httpReply.head));
      } catch (error) {
        httpReply.abandon();
        throw error;
      }
      await httpReply.serve({
        abort: options.abort,
        read: () => reader.readSome(),
        write: (bytes) => writer.writeAll(bytes),
        closeWrite: () => connection.closeWrite(),
      });
      return false;
    }
    const keepsAlive = keepAlive && (httpReply.kind === "fixed" || chunkedReplies);
    await writer.write(httpReply, {
      keepAlive: keepsAlive,
      chunked: chunkedReplies,
      headOnly: method === "HEAD",
    });
    return keepsAlive;
  } catch (error) {
    if (over.signal.aborted) return false; // The client has disconnected: an error cannot be sent.
    throw error;
  } finally {
    options.abort.removeEventListener("abort", close);
    answered.abort();
    over.abort();
    await watching;
  }
}

async function answer(request: HttpRequest, options: ConnectionOptions): Promise<HttpReply> {
  try {
    return await options.handle(request);
  } catch (error) {
    if (error instanceof HttpError) return errorReply(error.status, error.message);
    if (request.abort.aborted) return errorReply(499, "the request was aborted");
    options.logger.error(`embedded engine: ${request.method} ${request.path}: ${messageOf(error)}`);
    return errorReply(500, messageOf(error));
  }
}
