import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
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
import { byteArrays, cutInto, pieceLengths, sourceOf } from "../support/byte_pieces.ts";

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

Deno.test("FrameReader returns the frames that encodeFrame() wrote, however the bytes are cut", async () => {
  const frames = fc.array(
    fc.tuple(fc.constantFrom(...Object.keys(FRAME_KINDS) as FrameKind[]), byteArrays(100)),
  );
  await fc.assert(
    fc.asyncProperty(frames, pieceLengths(), fc.nat(1_000), async (frames, lengths, restBytes) => {
      const bytes = joined(...frames.map(([kind, payload]) => encodeFrame(kind, payload)));
      const source = sourceOf(cutInto(bytes.subarray(restBytes), lengths));
      const read = await readAll(new FrameReader(source, bytes.subarray(0, restBytes)));
      assertEquals(read, frames.map(([kind, payload]) => [kind, [...payload]]));
    }),
  );
});

Deno.test("FrameReader reads frames of the greatest length", async () => {
  const bytes = joined(encodeFrame("data", longest), encodeFrame("stderr", longest));
  const read = await readAll(new FrameReader(sourceOf(cutInto(bytes, [1_000]))));
  assertEquals(read, [["data", [...longest]], ["stderr", [...longest]]]);
});

Deno.test("FrameReader rejects or ends for any other bytes, and never hangs", async () => {
  await fc.assert(fc.asyncProperty(byteArrays(50), pieceLengths(), async (bytes, lengths) => {
    try {
      await readAll(new FrameReader(sourceOf(cutInto(bytes, lengths))));
    } catch (error) {
      assertInstanceOf(error, FrameError);
    }
  }));
});

for (const cut of [1, 4, 5, 7]) {
  Deno.test(`FrameReader drops a frame that ends after ${cut} bytes`, async () => {
    const bytes = encodeFrame("data", new Uint8Array([1, 2, 3]));
    const reader = new FrameReader(sourceOf([joined(bytes, bytes.subarray(0, cut))]));
    assertEquals(await readAll(reader), [["data", [1, 2, 3]]]);
  });
}

Deno.test("FrameReader rejects invalid frames", async () => {
  const next = (...bytes: number[]) => new FrameReader(sourceOf([new Uint8Array(bytes)])).next();
  await assertRejects(() => next(0, 0, 0, 0, 0), FrameError, "kind 0");
  await assertRejects(() => next(200, 0, 0, 0, 0), FrameError, "kind 200");
  await assertRejects(() => next(1, 1, 0, 1, 0), FrameError, "65537 bytes is longer than any (65536)");
  await assertRejects(() => next(1, 255, 255, 255, 255), FrameError, "4294967295 bytes");
});

Deno.test("frameJson() returns the value that encodeJsonFrame() wrote", async () => {
  const value = { text: "ä☃", list: [1, null] };
  const frame = await new FrameReader(sourceOf(cutInto(encodeJsonFrame("exit", value), [3]))).next();
  assertEquals(frameJson(frame!), value);
  assertThrows(() => frameJson({ kind: "exit", payload: new Uint8Array([0x7b]) }), SyntaxError);
});
