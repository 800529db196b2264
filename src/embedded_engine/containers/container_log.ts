/**
 * The output of one container, on disk. Owns the files `<generation>.log` in its directory. When one is full, the next is
 * begun, and only the newest two are kept (as with Docker's `max-file=2`): a container uses at most twice `maxFileBytes`,
 * and the oldest output is dropped first. Appends are written one after another, and each writer waits for its own, so a
 * process that prints faster than the disk is slowed down. Each reader has its own position and descriptor. A reader that
 * is too slow for two generations misses the dropped output. No output is held in memory.
 */
import { concat } from "@std/bytes/concat";
import { join } from "@std/path/posix";
import { settlesWithin } from "../../platform/async/wait.ts";
import type { StdStream } from "../processes/container_process.ts";
import {
  decodeRecords,
  encodeRecord,
  LineSplitter,
  MAX_PAYLOAD_BYTES,
  type OutputRecord,
} from "../processes/output_record.ts";

/** Some 100,000 lines in a file; 200 containers that print much use less than 3.2 GiB. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const READ_SIZE_BYTES = 64 * 1024;

export interface ContainerLogOptions {
  /** The log's own directory; created by the first append. */
  readonly dir: string;
  readonly nextTime: () => bigint;
  readonly maxFileBytes?: number;
}

/** The log at one moment. */
export interface LogSnapshot {
  /** All output up to that moment, in blocks of records, and then the unfinished lines. */
  read(): AsyncIterable<readonly Pick<OutputRecord, "stream" | "payload">[]>;
}

export interface ReadOutputOptions {
  /** Continues with appended records, until {@linkcode ContainerLog.endRun}. */
  readonly follow: boolean;
  readonly abort: AbortSignal;
}

export class ContainerLog {
  readonly #dir: string;
  readonly #nextTime: () => bigint;
  readonly #maxFileBytes: number;
  readonly #splitters: Record<StdStream, LineSplitter> = {
    stdout: new LineSplitter(MAX_PAYLOAD_BYTES),
    stderr: new LineSplitter(MAX_PAYLOAD_BYTES),
  };
  #generation = 0;
  #writtenBytes = 0;
  #lastWrite: Promise<void> = Promise.resolve();
  #running = false;
  #change = Promise.withResolvers<void>();

  constructor(options: ContainerLogOptions) {
    this.#dir = options.dir;
    this.#nextTime = options.nextTime;
    this.#maxFileBytes = options.maxFileBytes ?? MAX_FILE_BYTES;
  }

  /** A process starts: from now on followers wait for more. */
  beginRun(): void {
    this.#running = true;
  }

  /** Appends output of the process; resolves when it is written. */
  async append(stream: StdStream, chunk: Uint8Array): Promise<void> {
    await this.#write(stream, this.#splitters[stream].push(chunk));
  }

  /** The process has exited: writes the unfinished lines. Followers end when they have read them. */
  async endRun(): Promise<void> {
    for (const stream of ["stdout", "stderr"] as const) {
      const partial = this.#splitters[stream].flush();
      if (partial.length > 0) await this.#write(stream, [partial]);
    }
    this.#running = false;
    this.#announce();
  }

  /** The log at this moment, without what is appended later. */
  snapshot(): LogSnapshot {
    const untilNano = this.#nextTime();
    const written = this.#lastWrite;
    const unfinished = (["stdout", "stderr"] as const)
      .map((stream) => ({ stream, payload: this.#splitters[stream].partial }));
    const read = async function* (this: ContainerLog) {
      await written;
      for await (const records of this.read({ follow: false, abort: new AbortController().signal })) {
        const before = records.filter(({ timeNano }) => timeNano <= untilNano);
        if (before.length > 0) yield before;
        if (before.length < records.length) break;
      }
      yield unfinished.filter(({ payload }) => payload.length > 0);
    };
    return { read: () => read.call(this) };
  }

  /**
   * All records from the oldest that is kept, in the blocks in which the file is read. Without `follow` it ends where the log
   * ends at the moment of the call, even if the process keeps printing.
   */
  async *read(options: ReadOutputOptions): AsyncGenerator<readonly OutputRecord[]> {
    const end = options.follow ? undefined : { generation: this.#generation, bytes: this.#writtenBytes };
    let generation = Math.max(0, this.#generation - 1);
    while (!options.abort.aborted) {
      const maxBytes = generation === end?.generation ? end.bytes : Infinity;
      yield* this.#readGeneration(generation, { ...options, maxBytes });
      if (generation >= (end?.generation ?? this.#generation)) return;
      generation = Math.max(generation + 1, this.#generation - 1);
    }
  }

  /** Reads one file to its end. With `follow`, waits at the end of the newest one until it is full, or the run has ended. */
  async *#readGeneration(
    generation: number,
    { follow, abort, maxBytes }: ReadOutputOptions & { readonly maxBytes: number },
  ): AsyncGenerator<readonly OutputRecord[]> {
    using file = await openOrUndefined(join(this.#dir, `${generation}.log`));
    let rest: Uint8Array = new Uint8Array(0);
    let left = maxBytes;
    for (;;) {
      const { promise: changed } = this.#change;
      const newest = generation === this.#generation;
      const running = this.#running;
      for (let block = await readBlock(file, left); block.length > 0; block = await readBlock(file, left)) {
        left -= block.length;
        const decoded = decodeRecords(concat([rest, block]));
        rest = decoded.rest.slice();
        yield decoded.records;
        if (abort.aborted) return;
      }
      if (!newest || !follow || !running) return;
      if (file === undefined && this.#writtenBytes > 0) {
        return yield* this.#readGeneration(generation, { follow, abort, maxBytes });
      }
      await settlesWithin(changed, { abort });
      if (abort.aborted) return;
    }
  }

  #write(stream: StdStream, payloads: readonly Uint8Array[]): Promise<void> {
    if (payloads.length === 0) return Promise.resolve();
    const records = payloads.map((payload) => encodeRecord({ stream, timeNano: this.#nextTime(), payload }));
    // Each write waits for the one before it. A failure rejects its own append, and does not stop the next.
    const write = this.#lastWrite.then(() => this.#writeRecords(records));
    this.#lastWrite = write.then(() => {}, () => {});
    return write;
  }

  async #writeRecords(records: readonly Uint8Array[]): Promise<void> {
    const bytes = concat(records);
    if (this.#writtenBytes > 0 && this.#writtenBytes + bytes.length > this.#maxFileBytes) {
      await this.#rotate();
    }
    if (this.#writtenBytes === 0) await Deno.mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await Deno.writeFile(join(this.#dir, `${this.#generation}.log`), bytes, { append: true, mode: 0o600 });
    this.#writtenBytes += bytes.length;
    this.#announce();
  }

  async #rotate(): Promise<void> {
    const oldest = this.#generation - 1;
    this.#generation++;
    this.#writtenBytes = 0;
    if (oldest >= 0) await Deno.remove(join(this.#dir, `${oldest}.log`));
  }

  #announce(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

async function openOrUndefined(path: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // No output was written yet, or the file was dropped.
    throw error;
  }
}

async function readBlock(file: Deno.FsFile | undefined, maxBytes: number): Promise<Uint8Array> {
  if (file === undefined || maxBytes === 0) return new Uint8Array(0);
  const block = new Uint8Array(Math.min(READ_SIZE_BYTES, maxBytes));
  return block.subarray(0, await file.read(block) ?? 0);
}
