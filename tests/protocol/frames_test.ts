import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  encodeFrame,
  encodeJsonFrame,
  FRAME_KINDS,
  FrameError,
  frameJson,
  type FrameKind,
  FrameReader,
  MAX_FRAME_PAYLOAD_BYTES,
} from "../../src/protocol/frames.ts";
import type { ByteSource } from "../../src/protocol/jsonl.ts";

/** Returns `bytes` in pieces of at most `pieceBytes`, and then the end. */
function sourceOf(bytes: Uint8Array, pieceBytes: number): ByteSource {
  let at = 0;
  return {
    read(buffer) {
      if (at === bytes.length) return Promise.resolve(null);
      const piece = bytes.subarray(at, at + Math.min(pieceBytes, buffer.length));
      buffer.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length);
    },
  };
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** The kind and the payload of every frame, to the end. */
async function readAll(reader: FrameReader): Promise<[FrameKind, number[]][]> {
  const frames: [FrameKind, number[]][] = [];
  for (let frame = await reader.next(); frame !== null; frame = await reader.next()) {
    frames.push([frame.kind, [...frame.payload]]);
  }
  return frames;
}

const longest = new Uint8Array(MAX_FRAME_PAYLOAD_BYTES).map((_, at) => at % 251);

Deno.test("encodeFrame() writes kind, little-endian length and payload", () => {
  assertEquals([...encodeFrame("stderr", new Uint8Array([9, 8, 7]))], [2, 3, 0, 0, 0, 9, 8, 7]);
  assertEquals([...encodeFrame("ping")], [9, 0, 0, 0, 0]);
});

Deno.test("encodeFrame() rejects a payload above the limit of readers", () => {
  encodeFrame("data", longest);
  assertThrows(() => encodeFrame("data", new Uint8Array(MAX_FRAME_PAYLOAD_BYTES + 1)), RangeError, "65537");
});

for (const pieceBytes of [1, 4, 5, 6, 7, 1_000, 200_000]) {
  Deno.test(`FrameReader reads what encodeFrame() wrote, in pieces of ${pieceBytes} bytes`, async () => {
    const kinds = Object.keys(FRAME_KINDS) as FrameKind[];
    const written = [
      ...kinds.map((kind, at) => encodeFrame(kind, longest.subarray(0, at))),
      encodeFrame("data", longest),
      encodeFrame("stderr", longest),
    ];
    const frames = await readAll(new FrameReader(sourceOf(joined(...written), pieceBytes)));
    assertEquals(frames.map(([kind, payload]) => [kind, payload.length]), [
      ...kinds.map((kind, at) => [kind, at]),
      ["data", longest.length],
      ["stderr", longest.length],
    ]);
    assertEquals(frames.at(-1)?.[1], [...longest]);
  });
}

for (const cut of [0, 3, 5, 7, 8, 12, 16]) {
  Deno.test(`FrameReader reads the first ${cut} bytes from the rest after the line`, async () => {
    const bytes = joined(
      encodeFrame("data", new Uint8Array([1, 2, 3])),
      encodeFrame("exit", new Uint8Array([4, 5, 6])),
    );
    const reader = new FrameReader(sourceOf(bytes.subarray(cut), 100), bytes.subarray(0, cut));
    assertEquals(await readAll(reader), [["data", [1, 2, 3]], ["exit", [4, 5, 6]]]);
  });
}

for (const cut of [1, 4, 5, 7]) {
  Deno.test(`FrameReader drops a frame that ends after ${cut} bytes`, async () => {
    const bytes = encodeFrame("data", new Uint8Array([1, 2, 3]));
    const reader = new FrameReader(sourceOf(joined(bytes, bytes.subarray(0, cut)), 100));
    assertEquals(await readAll(reader), [["data", [1, 2, 3]]]);
  });
}

Deno.test("FrameReader rejects invalid frames", async () => {
  const next = (...bytes: number[]) => new FrameReader(sourceOf(new Uint8Array(bytes), 100)).next();
  await assertRejects(() => next(0, 0, 0, 0, 0), FrameError, "kind 0");
  await assertRejects(() => next(200, 0, 0, 0, 0), FrameError, "kind 200");
  await assertRejects(() => next(1, 1, 0, 1, 0), FrameError, "65537 bytes is longer than any (65536)");
  await assertRejects(() => next(1, 255, 255, 255, 255), FrameError, "4294967295 bytes");
});

Deno.test("frameJson() returns the value that encodeJsonFrame() wrote", async () => {
  const value = { text: "ä☃", list: [1, null] };
  const frame = await new FrameReader(sourceOf(encodeJsonFrame("exit", value), 3)).next();
  assertEquals(frameJson(frame!), value);
  assertThrows(() => frameJson({ kind: "exit", payload: new Uint8Array([0x7b]) }), SyntaxError);
});
