import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { type LogChunk, LogDemuxer, readLog } from "../../../src/engine/logs/log_frames.ts";
import { within } from "../../support/within.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function frame(stream: number, payload: string): Uint8Array {
  const bytes = encoder.encode(payload);
  const framed = new Uint8Array(8 + bytes.length);
  framed[0] = stream;
  new DataView(framed.buffer).setUint32(4, bytes.length);
  framed.set(bytes, 8);
  return framed;
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Formats pieces as `stdout hi`, and joins adjacent ones of a stream, whose boundaries have no meaning. */
function formatted(chunks: readonly LogChunk[]): string[] {
  const texts: { stream: string; text: string }[] = [];
  for (const { stream, bytes } of chunks) {
    const last = texts.at(-1);
    if (last?.stream === stream) last.text += decoder.decode(bytes);
    else texts.push({ stream, text: decoder.decode(bytes) });
  }
  return texts.map(({ stream, text }) => `${stream} ${text}`);
}

async function collect(chunks: AsyncIterable<LogChunk>): Promise<LogChunk[]> {
  const all: LogChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

/** A body of these chunks that stays open until it is cancelled. */
class OpenBody {
  readonly cancelled: Promise<unknown>;
  readonly stream: ReadableStream<Uint8Array>;

  constructor(...chunks: Uint8Array[]) {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.cancelled = promise;
    this.stream = new ReadableStream({
      start: (controller) => {
        for (const chunk of chunks) controller.enqueue(chunk);
      },
      cancel: resolve,
    });
  }
}

Deno.test("LogDemuxer.push() decodes frames wherever chunks are split", () => {
  const log = joined(frame(1, "one"), frame(2, "zwei"), frame(2, ""), frame(1, "three"), frame(1, "four"));
  const expected = ["stdout one", "stderr zwei", "stdout threefour"];
  for (let size = 1; size <= log.length; size++) {
    for (const first of [0, 3]) {
      const demuxer = new LogDemuxer();
      const chunks: LogChunk[] = [];
      // Copies, because `push` overwrites its argument.
      chunks.push(...demuxer.push(log.slice(0, first)));
      for (let at = first; at < log.length; at += size) {
        chunks.push(...demuxer.push(log.slice(at, at + size)));
      }
      demuxer.end();
      assertEquals(formatted(chunks), expected, `in pieces of ${size} after ${first}`);
      assert(chunks.every(({ bytes }) => bytes.length > 0));
    }
  }
});

Deno.test("LogDemuxer.push() joins adjacent frames of one stream and returns the beginning of an unfinished one", () => {
  const demuxer = new LogDemuxer();
  const long = frame(1, "x".repeat(100_000));
  const first = joined(frame(1, "a"), frame(1, "b"), frame(2, "c"), long.slice(0, 20));
  assertEquals(demuxer.push(first).map(({ stream, bytes }) => [stream, bytes.length]), [
    ["stdout", 2],
    ["stderr", 1],
    ["stdout", 12],
  ]);
  assertEquals(demuxer.push(long.slice(20)).map(({ bytes }) => bytes.length), [100_000 - 12]);
});

Deno.test("LogDemuxer.push() reads lengths of more than 2 GiB", () => {
  const demuxer = new LogDemuxer();
  const header = Uint8Array.of(1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff);
  assertEquals(demuxer.push(header), []);
  assertEquals(demuxer.push(encoder.encode("abc")).map(({ bytes }) => decoder.decode(bytes)), ["abc"]);
  assertThrows(() => demuxer.end(), EngineError, "in the middle");
});

Deno.test("LogDemuxer.push() throws when the bytes are not frames", () => {
  for (const text of ["plain text", "\x04\0\0\0\0\0\0\x01x", "\x01\0\x01\0\0\0\0\x01x"]) {
    assertThrows(() => new LogDemuxer().push(encoder.encode(text)), EngineError, "not in frames");
  }
});

Deno.test("LogDemuxer.push() throws the error that the engine sends on its own stream", () => {
  const message = frame(3, `error from daemon in stream: Error grabbing logs: EOF\n${"y".repeat(10_000)}`);
  for (const size of [5, 1_000, message.length]) {
    const demuxer = new LogDemuxer();
    const error = assertThrows(() => {
      for (let at = 0; at < message.length; at += size) demuxer.push(message.slice(at, at + size));
    }, EngineError);
    assert(error.message.includes("Error grabbing logs: EOF"), error.message);
    assert(error.message.length < 5_000);
  }
});

Deno.test("LogDemuxer.end() throws inside a frame and inside a header", () => {
  for (const cut of [3, 8, 10]) {
    const demuxer = new LogDemuxer();
    demuxer.push(frame(1, "hello").slice(0, cut));
    assertThrows(() => demuxer.end(), EngineError, "in the middle");
  }
});

Deno.test("readLog() returns a terminal's output unchanged", async () => {
  const body = ReadableStream.from([frame(2, "raw"), new Uint8Array(0), encoder.encode("text")]);
  const chunks = await collect(readLog(body, { tty: true }));
  assertEquals(chunks, [
    { stream: "stdout", bytes: frame(2, "raw") },
    { stream: "stdout", bytes: encoder.encode("text") },
  ]);
});

Deno.test("readLog() returns all pieces of one chunk, in order", async () => {
  const body = ReadableStream.from([joined(frame(1, "a"), frame(2, "b"), frame(1, "c")), frame(2, "d")]);
  assertEquals(formatted(await collect(readLog(body, { tty: false }))), [
    "stdout a",
    "stderr b",
    "stdout c",
    "stderr d",
  ]);
});

Deno.test("readLog() throws the abort reason during a read, and cancels the body", async () => {
  const body = new OpenBody(frame(1, "a"));
  const abort = new AbortController();
  const log = readLog(body.stream, { tty: false, abort: abort.signal });
  await log.next();
  const waiting = log.next();
  abort.abort(new RangeError("enough"));
  await assertRejects(() => within(5_000, "the end", waiting), RangeError, "enough");
  await within(5_000, "the cancellation", body.cancelled);
});

Deno.test("readLog() throws the reason of a signal that has already aborted", async () => {
  const body = new OpenBody();
  const signal = AbortSignal.abort(new RangeError("enough"));
  const log = readLog(body.stream, { tty: true, abort: signal });
  await assertRejects(() => within(5_000, "the end", log.next()), RangeError, "enough");
  await within(5_000, "the cancellation", body.cancelled);
});

Deno.test("readLog() cancels the body when the iteration is left, and when it is not a log", async () => {
  const left = new OpenBody(frame(1, "a"));
  for await (const _chunk of readLog(left.stream, { tty: false })) break;
  await within(5_000, "the cancellation", left.cancelled);

  const wrong = new OpenBody(encoder.encode("plain text"));
  await assertRejects(() => collect(readLog(wrong.stream, { tty: false })), EngineError, "not in frames");
  await within(5_000, "the cancellation", wrong.cancelled);
});
