/**
 * What follows the reply line of an operation that streams: frames, each a kind (u8), a length (u32, little endian) and
 * so many bytes of payload.
 */
import type { ByteSource } from "./jsonl.ts";

/**
 * | kind | from | payload |
 * | --- | --- | --- |
 * | `data` | both | bytes of standard output, or of standard input; or of a terminal, either way |
 * | `stderr` | daemon | bytes of standard error |
 * | `progress` | daemon | JSON: how far the image's pull is |
 * | `pending` | daemon | JSON: how many tasks have their turn first |
 * | `started` | daemon | JSON: the task runs |
 * | `exit` | daemon | JSON: how it ended; the last frame |
 * | `resize` | client | u16 columns, u16 rows, little endian |
 * | `detach` | both | JSON, or none |
 * | `ping` | both | none: the sender is there |
 * | `eof` | client | none: the end of standard input |
 */
export const FRAME_KINDS = {
  data: 1,
  stderr: 2,
  progress: 3,
  pending: 4,
  started: 5,
  exit: 6,
  resize: 7,
  detach: 8,
  ping: 9,
  eof: 10,
} as const;

export type FrameKind = keyof typeof FRAME_KINDS;

export interface Frame {
  readonly kind: FrameKind;
  /** Good until the next frame is read. */
  readonly payload: Uint8Array;
}

export const MAX_FRAME_PAYLOAD_BYTES = 64 * 1024;

const HEADER_BYTES = 5;
const KIND_NAMES = new Map(Object.entries(FRAME_KINDS).map(([name, code]) => [code, name as FrameKind]));

/** What came is no frame; nothing after it can be understood. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** @throws {RangeError} when the payload is longer than {@linkcode MAX_FRAME_PAYLOAD_BYTES} */
export function encodeFrame(
  kind: FrameKind,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array<ArrayBuffer> {
  if (payload.length > MAX_FRAME_PAYLOAD_BYTES) {
    throw new RangeError(`Cannot send ${payload.length} bytes in one frame`);
  }
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes[0] = FRAME_KINDS[kind];
  new DataView(bytes.buffer).setUint32(1, payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** A frame whose payload is a value as JSON. */
export function encodeJsonFrame(kind: FrameKind, value: unknown): Uint8Array<ArrayBuffer> {
  return encodeFrame(kind, new TextEncoder().encode(JSON.stringify(value)));
}

/** The value in a frame's payload. @throws {SyntaxError} when it is not JSON */
export function frameJson({ payload }: Frame): unknown {
  return JSON.parse(new TextDecoder().decode(payload));
}

/** Reads frames one after the other, with one buffer for all of them. */
export class FrameReader {
  readonly #source: ByteSource;
  readonly #buffer = new Uint8Array(HEADER_BYTES + MAX_FRAME_PAYLOAD_BYTES);
  /** Bytes that have come and belong to no frame that was handed out: `#start` … `#end`. */
  #start = 0;
  #end = 0;

  /** @param rest what came right behind the line before the frames, at most 64 KiB */
  constructor(source: ByteSource, rest: Uint8Array = new Uint8Array(0)) {
    this.#source = source;
    this.#buffer.set(rest);
    this.#end = rest.length;
  }

  /**
   * The next frame; null at the end of the source, where an unfinished frame is discarded.
   * @throws {FrameError} for a kind or a length that no frame has; of newer peers too: kinds are negotiated by operation
   */
  async next(): Promise<Frame | null> {
    if (!await this.#have(HEADER_BYTES)) return null;
    const header = new DataView(this.#buffer.buffer, this.#start, HEADER_BYTES);
    const kind = KIND_NAMES.get(header.getUint8(0) as typeof FRAME_KINDS[FrameKind]);
    const length = header.getUint32(1, true);
    if (kind === undefined) throw new FrameError(`no frame is of kind ${header.getUint8(0)}`);
    if (length > MAX_FRAME_PAYLOAD_BYTES) {
      throw new FrameError(`a frame of ${length} bytes is longer than any (${MAX_FRAME_PAYLOAD_BYTES})`);
    }
    if (!await this.#have(HEADER_BYTES + length)) return null;
    const payload = this.#buffer.subarray(this.#start + HEADER_BYTES, this.#start + HEADER_BYTES + length);
    this.#start += HEADER_BYTES + length;
    return { kind, payload };
  }

  async #have(bytes: number): Promise<boolean> {
    while (this.#end - this.#start < bytes) {
      if (this.#start > 0) {
        this.#buffer.copyWithin(0, this.#start, this.#end);
        this.#end -= this.#start;
        this.#start = 0;
      }
      const count = await this.#source.read(this.#buffer.subarray(this.#end));
      if (count === null) return false;
      this.#end += count;
    }
    return true;
  }
}
