/**
 * How exec and attach take over a connection: the head that Docker sends (101 to a client that asked for an upgrade, else
 * 200 with a body that ends with the connection), then bytes both ways.
 *
 * Each client has a queue of its own, `ClientOutput`, so that no client waits for another, and a process waits for a client
 * only where it is meant to (`room`). The queue is bounded. A client that does not read for long enough to fill it is lost,
 * and so is one whose connection fails. Output for a lost client is dropped.
 */
import { settlesWithin } from "../../platform/async/wait.ts";
import type { HttpRequest, RawConnection, UpgradeReply } from "./http_message.ts";

/** From this minor version of the API on, the content type says whether the stream is framed. */
const TYPED_SINCE_MINOR = 42;
/** For a client to close its side after it has seen our end. Closing before it reads resets the connection. */
const LINGER_MS = 1_000;
/** For a client to read the rest when the engine closes. */
const CLOSE_GRACE_MS = 500;
/** `room()` waits while more than this is queued: the size of two pipes. */
const HIGH_WATER_BYTES = 128 * 1024;
/** A program that prints as fast as it can fills this in a tenth of a second, which is long enough for a busy client. */
export const MAX_QUEUED_BYTES = 16 * 1024 * 1024;

export interface RawStreamOptions {
  /** Output comes in frames, stdout and stderr apart. */
  readonly multiplexed: boolean;
  readonly serve: (client: RawClient) => Promise<void>;
  /** Called instead of `serve` when the client disconnected before. */
  readonly abandon?: () => void;
}

/** The client of a connection that was taken over. */
export interface RawClient {
  readonly output: ClientOutput;
  /** What it sends, until its end. It need not be read. */
  readonly input: AsyncIterable<Uint8Array>;
}

/** Serves until `serve` returns, then writes what is still queued, and closes the connection. */
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

export interface ClientOutputOptions {
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** Default: {@linkcode MAX_QUEUED_BYTES}. */
  readonly maxBytes?: number;
}

/** The bounded queue of output for one client. */
export class ClientOutput {
  readonly #write: ClientOutputOptions["write"];
  readonly #maxBytes: number;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #room = Promise.withResolvers<void>();
  readonly #lost = Promise.withResolvers<void>();
  #isLost = false;

  constructor({ write, maxBytes = MAX_QUEUED_BYTES }: ClientOutputOptions) {
    this.#write = write;
    this.#maxBytes = maxBytes;
  }

  /** Resolves when the client is lost: it disconnected, or it was too slow. */
  get lost(): Promise<void> {
    return this.#lost.promise;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  push(bytes: Uint8Array): void {
    if (this.#isLost || bytes.length === 0) return;
    if (this.#queuedBytes + bytes.length > this.#maxBytes) return this.#lose();
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writing ??= this.#drain();
  }

  /** Little is queued, or the client is lost. */
  get hasRoom(): boolean {
    return this.#isLost || this.#queuedBytes <= HIGH_WATER_BYTES;
  }

  /** Resolves once there is room. */
  async room(): Promise<void> {
    while (!this.hasRoom) await this.#room.promise;
  }

  /** Resolves when all that was pushed is written, or the client is lost. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined && !this.#isLost) {
      await Promise.race([this.#writing, this.#lost.promise]);
    }
  }

  async #drain(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#write(next);
        this.#queuedBytes -= next.length;
        this.#announceRoom();
      }
    } catch {
      this.#lose(); // However writing failed, nothing more can be written.
    } finally {
      this.#writing = undefined;
    }
  }

  #lose(): void {
    this.#isLost = true;
    this.#queue = [];
    this.#lost.resolve();
    this.#announceRoom();
  }

  #announceRoom(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }
}

async function serveClient(connection: RawConnection, serve: RawStreamOptions["serve"]): Promise<void> {
  const input = new ClientInput(connection);
  const output = new ClientOutput({ write: (bytes) => connection.write(bytes) });
  await serve({ output, input });
  await flush(output, connection.abort);
  // A write to a client that does not read is still in flight. Only closing the connection ends it.
  if (output.isLost || connection.abort.aborted) return;
  await connection.closeWrite();
  await settlesWithin(input.discard(), { timeoutMs: LINGER_MS });
}

/** Waits until all is written; when the engine closes, only for the grace. */
async function flush(output: ClientOutput, abort: AbortSignal): Promise<void> {
  const flushed = output.flushed();
  if (!await settlesWithin(flushed, { abort })) await settlesWithin(flushed, { timeoutMs: CLOSE_GRACE_MS });
}

/** Reads what the client sends, for one consumer; `discard` drops the rest. */
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

  /** Callers share the read that is in flight. */
  #read(): Promise<Uint8Array | undefined> {
    return this.#next ??= this.#connection.read().finally(() => this.#next = undefined);
  }
}

/** A path without a version means the newest. */
function minorVersionOf(path: string): number {
  const match = /^\/v\d+\.(\d+)\//.exec(path);
  return match === null ? Infinity : Number(match[1]);
}
