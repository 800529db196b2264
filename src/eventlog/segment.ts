import type { WireEvent, WireEventType } from "../protocol/wire_event.ts";

const NEWLINE = 10;
/** In UTF-8. */
const MAX_CHARACTER_BYTES = 4;
/** Fits 256 KiB of 231-byte lines without growing. */
const INITIAL_LINES = 1_152;

const encoder = new TextEncoder();

/** One line of the log, with what the index knows of it. */
export interface LogLine {
  readonly seq: number;
  readonly type: WireEventType;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  readonly containerName: string | undefined;
  /**
   * The line with its newline, as the journal and extended subscribers get it: where the bare line has all of the event, a
   * view of the log's own bytes. Never to be written to.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * A stretch of the log: encoded lines one after the other, and beside them an index of where each ends and what it is
 * about. Bytes are only ever added; bytes below {@linkcode Segment.published} never change, so a write to a
 * subscriber may use them in place.
 */
export class Segment {
  /** Counts segments from 0, without holes. */
  readonly number: number;
  /** The `seq` of its first line. */
  readonly firstSeq: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many bytes subscribers may see. */
  published = 0;
  /** It has left memory's retention: whoever still holds it has lost what follows. */
  evicted = false;

  #length = 0;
  #lines = 0;
  /** Where each line ends, newline included. */
  #ends = new Uint32Array(INITIAL_LINES);
  readonly #types: WireEventType[] = [];
  readonly #taskIds: (string | undefined)[] = [];
  readonly #containerIds: (string | undefined)[] = [];
  readonly #containerNames: (string | undefined)[] = [];
  /** Whole lines, by index, of events of which the bare line has a part only. Few. */
  readonly #wholeLines = new Map<number, Uint8Array<ArrayBuffer>>();
  #wholeBytes = 0;

  constructor(options: { number: number; firstSeq: number; capacityBytes: number }) {
    this.number = options.number;
    this.firstSeq = options.firstSeq;
    this.bytes = new Uint8Array(options.capacityBytes);
  }

  /** Bytes in use, published or not. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that it takes, used or not. */
  get memoryBytes(): number {
    return this.bytes.length + this.#wholeBytes;
  }

  /** How many lines it holds. */
  get lines(): number {
    return this.#lines;
  }

  /**
   * Adds a line, encoded in place. False, and nothing changed, when `json` and its newline do not fit.
   * @param wholeJson of the event, where `json`, its bare form, has a part of it only
   */
  append(json: string, event: WireEvent, wholeJson?: string): boolean {
    const free = this.bytes.subarray(this.#length, -1);
    const { read, written } = encoder.encodeInto(json, free);
    if (read < json.length) return false;
    // Deno 2.4 sometimes claims to have read all of a text with é or ü of which only a part had room.
    if (free.length - written < MAX_CHARACTER_BYTES && lineBytes(json) !== written + 1) return false;
    const newlineAt = this.#length + written;
    this.bytes[newlineAt] = NEWLINE;
    this.#length = newlineAt + 1;
    if (this.#lines === this.#ends.length) this.#growIndex();
    if (wholeJson !== undefined) this.#addWhole(encoder.encode(`${wholeJson}\n`));
    this.#ends[this.#lines++] = this.#length;
    this.#types.push(event.type);
    this.#taskIds.push("taskId" in event ? event.taskId : undefined);
    this.#containerIds.push("containerId" in event ? event.containerId : undefined);
    this.#containerNames.push("containerName" in event ? event.containerName : undefined);
    return true;
  }

  /** The end of the line that the byte before `offset` belongs to: `offset` itself where a line ends there. */
  lineEnd(offset: number): number {
    return offset === 0 ? 0 : this.#ends[this.#lineBefore(offset)]!;
  }

  /** Its lines from byte `offset` on, which must be where one begins. */
  *linesFrom(offset: number): Generator<LogLine> {
    for (let index = offset === 0 ? 0 : this.#lineBefore(offset) + 1; index < this.#lines; index++) {
      yield this.line(index);
    }
  }

  /** The line with that index, counted from 0. */
  line(index: number): LogLine {
    return {
      seq: this.firstSeq + index,
      type: this.#types[index]!,
      taskId: this.#taskIds[index],
      containerId: this.#containerIds[index],
      containerName: this.#containerNames[index],
      bytes: this.#wholeLines.get(index) ??
        this.bytes.subarray(index === 0 ? 0 : this.#ends[index - 1]!, this.#ends[index]!),
    };
  }

  /** Index of the line that the byte before `offset` belongs to. */
  #lineBefore(offset: number): number {
    let low = 0;
    let high = this.#lines - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ends[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #addWhole(line: Uint8Array): void {
    // Never shared memory; the types of Deno 2.4 do not say so.
    this.#wholeLines.set(this.#lines, line as Uint8Array<ArrayBuffer>);
    this.#wholeBytes += line.length;
  }

  #growIndex(): void {
    const grown = new Uint32Array(this.#ends.length * 2);
    grown.set(this.#ends);
    this.#ends = grown;
  }
}

/** How many bytes the line of `json` takes, newline included. */
export function lineBytes(json: string): number {
  return encoder.encode(json).length + 1;
}
