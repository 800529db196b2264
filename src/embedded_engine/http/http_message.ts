/** A request, the kinds of reply, and a refusal, as the handlers of the embedded engine see them. */

/** One request. Its body has been read already; the connection bounds its size. */
export interface HttpRequest {
  readonly method: string;
  /** Path of the target, still percent-encoded, without scheme, host and query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name. Of a repeated header, the last value. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** Aborts when the client hangs up, when the engine closes, and at the latest when the request has been answered. */
  readonly abort: AbortSignal;
}

/** Writes one piece of a streamed body; resolves when the socket has taken it. */
export type WriteChunk = (chunk: Uint8Array) => Promise<void>;

/** A body of known size; `body` undefined sends none. */
export interface FixedReply {
  readonly kind: "fixed";
  readonly status: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Headers at once, then chunks. When `produce` throws, the connection is closed without the last chunk. */
export interface ChunkedReply {
  readonly kind: "stream";
  readonly status: number;
  readonly contentType?: string;
  produce(write: WriteChunk): Promise<void>;
}

/** The handler takes over the raw connection, which is closed when `serve` returns. */
export interface UpgradeReply {
  readonly kind: "upgrade";
  /** The head to send, with its empty line at the end. */
  readonly head: string;
  serve(connection: RawConnection): Promise<void>;
  /** Called instead of `serve` when the head cannot be written. */
  abandon(): void;
}

/** A connection after an upgrade: bytes both ways. */
export interface RawConnection {
  /** The next bytes of the client, beginning with those that followed its request; undefined at the client's end. */
  read(): Promise<Uint8Array | undefined>;
  write(bytes: Uint8Array): Promise<void>;
  /** Aborts when the engine closes. */
  readonly abort: AbortSignal;
  /** Ends our side; the client may still send. */
  closeWrite(): Promise<void>;
}

export type HttpReply = FixedReply | ChunkedReply | UpgradeReply;

/** A refusal that the client sees: `status` and `{"message": …}`, both as Docker has them. */
export class HttpError extends Error {
  override readonly name: string = "HttpError";
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

export function jsonReply(status: number, value: unknown): FixedReply {
  return { kind: "fixed", status, contentType: "application/json", body: JSON.stringify(value) + "\n" };
}

/** A refusal in Docker's form. */
export function errorReply(status: number, message: string): FixedReply {
  return jsonReply(status, { message });
}

export function emptyReply(status: number): FixedReply {
  return { kind: "fixed", status };
}
