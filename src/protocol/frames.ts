/**
 * Frames follow the reply line of an operation of the kind `frames`. Each is a kind (u8), a length (u32, little endian), and a
 * payload of that length.
 */
import type { ByteSource } from "./jsonl.ts";

/**
 * | kind | sent by | payload |
 * | --- | --- | --- |
 * | `data` | both | bytes of standard output or standard input, or of a terminal |
 * | `stderr` | daemon | bytes of standard error |
 * | `progress` | daemon | JSON: the progress of an image's pull |
 * | `pending` | daemon | JSON: the number of tasks that must end first |
 * | `started` | daemon | JSON: the task runs |
 * | `exit` | daemon | JSON: how the task, the container or the session ended; the last frame |
 * | `resize` | client | u16 columns, u16 rows, little endian |
 * | `detach` | both | from the daemon JSON, from the client empty |
 * | `ping` | both | empty: the sender is alive |
 * | `eof` | client | empty: the end of standard input |
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
  /** Valid until the next frame is read. */
  readonly payload: Uint8Array;
}

export const MAX_FRAME_PAYLOAD_BYTES = 64 * 1024;

const HEADER_BYTES = 5;
const KIND_NAMES = new Map(Object.entries(FRAME_KINDS).map(([name, code]) => [code, name as FrameKind]));

/** The peer sent an invalid frame. No frame can be read after it. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** @throws {RangeError} if the payload is longer than {@linkcode MAX_FRAME_PAYLOAD_BYTES} */
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

/** The value in a frame's payload. @throws {SyntaxError} if it is not JSON */
export function frameJson({ payload }: Frame): unknown {
  return JSON.parse(new TextDecoder().decode(payload));
}

/** Reads frames one after the other, into one buffer. */
export class FrameReader {
  readonly #source: ByteSource;
  readonly #buffer = new Uint8Array(HEADER_BYTES + MAX_FRAME_PAYLOAD_BYTES);
  /** The bytes of frames that were not returned yet are at `#start` … `#end`. */
  #start = 0;
  #end = 0;

  /** @param rest bytes that arrived together with the line before the frames, at most 64 KiB */
  constructor(source: ByteSource, rest: Uint8Array = new Uint8Array(0)) {
    this.#source = source;
    this.#buffer.set(rest);
    this.#end = rest.length;
  }

  /**
   * The next frame, or null at the end of the source. An unfinished last frame is dropped.
   *
   * @throws {FrameError} for an unknown kind or a length above the limit
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
