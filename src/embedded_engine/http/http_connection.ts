/**
 * One client's connection: reads a request, has it answered, writes the reply, and so on until either side ends it.
 * Requests are answered one after another in their order (pipelining works, and is bounded by the reader). A reply may
 * be a stream or take the whole connection over. HTTP/1.1 is spoken by hand because `Deno.serve` cannot hand over a
 * connection and `node:http` of Deno 2.4 cannot listen on a Unix socket.
 */
import { messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import { closeQuietly } from "../../platform/unix_socket.ts";
import { HttpError } from "./http_error.ts";
import { errorReply, type HttpReply, type HttpRequest } from "./http_message.ts";
import { ReplyWriter } from "./reply_writer.ts";
import type { RequestHead } from "./request_head.ts";
import { isConnectionLoss, RequestReader } from "./request_reader.ts";

/** From the first byte of a request to its last: a client that stops halfway does not hold its connection for ever. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How long a reply that is under way may take to end when the engine closes. */
const CLOSE_GRACE_MS = 500;

export interface ConnectionOptions {
  /** Answers a request; an {@linkcode HttpError} becomes its status, anything else a 500. */
  readonly handle: (request: HttpRequest) => Promise<HttpReply>;
  /** Requests whose body is of any size, and of no interest: it is read, and the handler gets none. */
  readonly ignoresBody: (head: RequestHead) => boolean;
  /** Sent with every reply. */
  readonly headers: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** The engine closes: requests in flight are aborted, the connection ends. */
  readonly signal: AbortSignal;
}

/** Serves `connection` until it ends, and closes it. Never rejects for what a client does. */
export async function serveConnection(connection: Deno.Conn, options: ConnectionOptions): Promise<void> {
  const reader = new RequestReader(connection);
  const writer = new ReplyWriter(connection, options.headers);
  let answering = false;
  let graceTimer: ReturnType<typeof setTimeout> | undefined;
  const end = () => {
    if (answering) graceTimer = setTimeout(() => closeQuietly(connection), CLOSE_GRACE_MS);
    else closeQuietly(connection);
  };
  options.signal.addEventListener("abort", end, { once: true });
  try {
    while (!options.signal.aborted) {
      const received = await receive(connection, { reader, writer, options });
      if (received === undefined) return;
      answering = true;
      if (!(await reply(connection, { reader, writer, options, received }))) return;
      answering = false;
    }
  } catch (error) {
    if (!isConnectionLoss(error)) {
      options.logger.warn(`embedded engine: a connection failed: ${messageOf(error)}`);
    }
  } finally {
    options.signal.removeEventListener("abort", end);
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

/** Reads the next request; undefined when there is none, or what came was refused. */
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
    // Where the next request would begin is unknown now: this was the last of the connection.
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

/** Answers one request; false when the connection cannot go on after it. */
async function reply(
  connection: Deno.Conn,
  { reader, writer, options, received: { head, body } }: Wire & { received: Received },
): Promise<boolean> {
  const over = new AbortController();
  const answered = new AbortController();
  const watching = reader.watch(() => over.abort(), answered.signal);
  const close = (): void => over.abort();
  options.signal.addEventListener("abort", close, { once: true });
  if (options.signal.aborted) close();
  try {
    const { method, path, query, headers, keepAlive, chunkedReplies } = head;
    const httpReply = await answer({ method, path, query, headers, body, signal: over.signal }, options);
    if (httpReply.kind === "upgrade") {
      answered.abort();
      try {
        await writer.writeAll(new TextEncoder().encode(httpReply.head));
      } catch (error) {
        httpReply.abandon();
        throw error;
      }
      await httpReply.serve({
        signal: options.signal,
        read: () => reader.readSome(),
        write: (bytes) => writer.writeAll(bytes),
        closeWrite: () => connection.closeWrite(),
      });
      return false;
    }
    const goesOn = keepAlive && (httpReply.kind === "fixed" || chunkedReplies);
    await writer.write(httpReply, {
      keepAlive: goesOn,
      chunked: chunkedReplies,
      headOnly: method === "HEAD",
    });
    return goesOn;
  } catch (error) {
    if (over.signal.aborted) return false; // Whatever failed, nobody is there to be told.
    throw error;
  } finally {
    options.signal.removeEventListener("abort", close);
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
    if (request.signal.aborted) return errorReply(499, "the request was aborted");
    options.logger.error(`embedded engine: ${request.method} ${request.path}: ${messageOf(error)}`);
    return errorReply(500, messageOf(error));
  }
}
