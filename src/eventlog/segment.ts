import type { WireEvent, WireEventType } from "../protocol/wire_event.ts";
import type { JournalLine } from "../storage/journal/event_rows.ts";

const NEWLINE = 10;
/** The longest UTF-8 sequence. */
const MAX_CHARACTER_BYTES = 4;
/** Enough for 256 KiB of 231-byte lines. */
const INITIAL_LINES = 1_152;

const encoder = new TextEncoder();

/** One line of the log, with its fields in the index. */
export interface LogLine extends JournalLine {
  readonly type: WireEventType;
  readonly containerName: string | undefined;
  /**
   * The whole event with its newline, as the journal and resumable subscribers get it. When the bare line has all fields of
   * the event, this is a view of the segment's bytes. Do not write to it.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * A part of the log in memory: encoded lines one after the other, and an index of their ends and their fields. Bytes are only
 * appended. Bytes below {@linkcode Segment.published} never change, so a write to a subscriber uses them in place.
 */
export class Segment {
  /** Counts segments from 0, without gaps. */
  readonly number: number;
  /** The `seq` of its first line. */
  readonly firstSeq: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The number of bytes that subscribers may read. */
  published = 0;
  /** The log has dropped it: a reader that still holds it has lost the lines after it. */
  evicted = false;

  #length = 0;
  #lines = 0;
  /** Where each line ends, newline included. */
  #ends = new Uint32Array(INITIAL_LINES);
  readonly #types: WireEventType[] = [];
  readonly #taskIds: (string | undefined)[] = [];
  readonly #containerIds: (string | undefined)[] = [];
  readonly #containerNames: (string | undefined)[] = [];
  /** By index, the whole lines of the few events whose bare line lacks fields. */
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

  /** Its size in memory, used or not. */
  get memoryBytes(): number {
    return this.bytes.length + this.#wholeBytes;
  }

  /** The number of lines. */
  get lines(): number {
    return this.#lines;
  }

  /**
   * Appends a line, encoded in place. Returns false and changes nothing when `json` and its newline do not fit.
   * @param json the bare event
   * @param wholeJson the whole event, when it has fields that `json` lacks
   */
  append(json: string, event: WireEvent, wholeJson?: string): boolean {
    const free = this.bytes.subarray(this.#length, -1);
    const { read, written } = encoder.encodeInto(json, free);
    if (read < json.length) return false;
    // Deno 2.4 sometimes reports that it read all of a text with é or ü when only a part fitted.
    if (free.length - written < MAX_CHARACTER_BYTES && lineBytes(json) !== written + 1) return false;
    const newlineAt = this.#length + written;
    this.bytes[newlineAt] = NEWLINE;
    this.#length = newlineAt + 1;
    if (this.#lines === this.#ends.length) this.#growIndex();
    if (wholeJson !== undefined) {
      // Not shared memory, but the types of Deno 2.4 do not say so.
      const line = encoder.encode(`${wholeJson}\n`) as Uint8Array<ArrayBuffer>;
      this.#wholeLines.set(this.#lines, line);
      this.#wholeBytes += line.length;
    }
    this.#ends[this.#lines++] = this.#length;
    this.#types.push(event.type);
    this.#taskIds.push("taskId" in event ? event.taskId : undefined);
    this.#containerIds.push("containerId" in event ? event.containerId : undefined);
    this.#containerNames.push("containerName" in event ? event.containerName : undefined);
    return true;
  }

  /** The end of the line that contains the byte before `offset`: `offset` itself when a line ends there. */
  lineEnd(offset: number): number {
    return offset === 0 ? 0 : this.#ends[this.#lineBefore(offset)]!;
  }

  /** The lines from byte `offset` on, which must be the start of a line. */
  *linesFrom(offset: number): Generator<LogLine> {
    for (let index = offset === 0 ? 0 : this.#lineBefore(offset) + 1; index < this.#lines; index++) {
      yield this.line(index);
    }
  }

  /** The line with this index, counted from 0. */
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

  /** Index of the line that contains the byte before `offset`. */
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

  #growIndex(): void {
    const grown = new Uint32Array(this.#ends.length * 2);
    grown.set(this.#ends);
    this.#ends = grown;
  }
}

/** The length of the line of `json` in bytes, newline included. */
export function lineBytes(json: string): number {
  return encoder.encode(json).length + 1;
}
