/** A request and the kinds of reply, as the handlers of the embedded engine see them. */

/** One request, its body already read (bounded by the connection). */
export interface HttpRequest {
  readonly method: string;
  /** Path of the target, still percent-encoded, without scheme, host and query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name; of a repeated header the last value. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** Aborts when the client hangs up, the engine closes, or at the latest when the request is over. */
  readonly signal: AbortSignal;
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

/** Headers at once, then chunks as they come. When `produce` throws, the connection is cut without the last chunk. */
export interface StreamReply {
  readonly kind: "stream";
  readonly status: number;
  readonly contentType?: string;
  produce(write: WriteChunk): Promise<void>;
}

/** The handler takes the raw connection over; it is closed when `serve` returns. */
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
  /** What came, beginning with what the client sent right behind its request; undefined at the client's end. */
  read(): Promise<Uint8Array | undefined>;
  write(bytes: Uint8Array): Promise<void>;
  /** Aborts when the engine closes. */
  readonly signal: AbortSignal;
  /** Ends our side; the client may still send. */
  closeWrite(): Promise<void>;
}

export type HttpReply = FixedReply | StreamReply | UpgradeReply;

export function jsonReply(status: number, value: unknown): FixedReply {
  return { kind: "fixed", status, contentType: "application/json", body: JSON.stringify(value) + "\n" };
}

/** Docker's form of every refusal. */
export function errorReply(status: number, message: string): FixedReply {
  return jsonReply(status, { message });
}

export function emptyReply(status: number): FixedReply {
  return { kind: "fixed", status };
}
