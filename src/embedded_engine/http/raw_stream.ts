/**
 * How exec and attach take a connection over: the head that Docker sends (101 to a client that asked for an upgrade, else
 * 200 with a body that ends with the connection), then bytes both ways.
 */
import { settlesWithin } from "../../platform/async/wait.ts";
import { ClientOutput } from "./client_output.ts";
import type { HttpRequest, RawConnection, UpgradeReply } from "./http_message.ts";

/** From this minor version on the type tells whether the stream is framed. */
const TYPED_SINCE_MINOR = 42;
/** For a client to close its side once it has seen our end; closing before it reads resets the connection. */
const LINGER_MS = 1_000;
/** For a client to take what is left when the engine closes. */
const CLOSE_GRACE_MS = 500;

export interface RawStreamOptions {
  /** Output comes in frames, stdout and stderr apart. */
  readonly multiplexed: boolean;
  readonly serve: (client: RawClient) => Promise<void>;
  /** Called instead of `serve` when the client has gone before. */
  readonly abandon?: () => void;
}

/** The client of a connection that was taken over. */
export interface RawClient {
  readonly output: ClientOutput;
  /** What it sends, until its end; nobody need read it. */
  readonly input: AsyncIterable<Uint8Array>;
}

/** Serves until `serve` returns, then writes what is left, and ends. */
export function rawStreamReply(request: HttpRequest, options: RawStreamOptions): UpgradeReply {
  const upgrade = request.headers.has("upgrade");
  const framed = upgrade && options.multiplexed && minorVersionOf(request.path) >= TYPED_SINCE_MINOR;
  const contentType = `application/vnd.docker.${framed ? "multiplexed" : "raw"}-stream`;
  const head = upgrade
    ? `HTTP/1.1 101 UPGRADED\r\nContent-Type: ${contentType}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`
    : `HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\nConnection: close\r\n\r\n`;
  const { abandon = () => {} } = options;
  return { kind: "upgrade", head, serve: (connection) => serveClient(connection, options.serve), abandon };
}

async function serveClient(connection: RawConnection, serve: RawStreamOptions["serve"]): Promise<void> {
  const input = new ClientInput(connection);
  const output = new ClientOutput({ write: (bytes) => connection.write(bytes) });
  await serve({ output, input });
  await flush(output, connection.signal);
  // Of one that does not read, a write is still under way: closing is all that is left.
  if (output.isLost || connection.signal.aborted) return;
  await connection.closeWrite();
  await settlesWithin(input.discard(), { timeoutMs: LINGER_MS });
}

/** Waits until all is written, but when the engine closes not for long. */
async function flush(output: ClientOutput, signal: AbortSignal): Promise<void> {
  const { promise: gaveUp, resolve: giveUp } = Promise.withResolvers<void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onClosing = () => timer = setTimeout(giveUp, CLOSE_GRACE_MS);
  signal.addEventListener("abort", onClosing, { once: true });
  if (signal.aborted) onClosing();
  await Promise.race([output.flushed(), gaveUp]);
  signal.removeEventListener("abort", onClosing);
  clearTimeout(timer);
}

/** One reader of what the client sends; what it has not read is read and dropped at the end. */
class ClientInput implements AsyncIterable<Uint8Array> {
  readonly #connection: RawConnection;
  #next: Promise<Uint8Array | undefined> | undefined;

  constructor(connection: RawConnection) {
    this.#connection = connection;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let chunk = await this.#read(); chunk !== undefined; chunk = await this.#read()) yield chunk;
  }

  async discard(): Promise<void> {
    while (await this.#read() !== undefined);
  }

  /** Whoever asks while a read is under way gets the same piece. */
  #read(): Promise<Uint8Array | undefined> {
    return this.#next ??= this.#connection.read().finally(() => this.#next = undefined);
  }
}

/** A path without a version speaks the newest. */
function minorVersionOf(path: string): number {
  const match = /^\/v\d+\.(\d+)\//.exec(path);
  return match === null ? Infinity : Number(match[1]);
}
