import fc from "fast-check";
import type { ByteSource } from "../../src/protocol/jsonl.ts";

// The same inputs in each run: a failure is that of the change under test.
fc.configureGlobal({ seed: 1 });

/** Any bytes, at most this many. */
export function byteArrays(maxLength: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  return fc.uint8Array({ maxLength }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>;
}

/** Cuts bytes into pieces of these lengths, which repeat; the last piece is what remains. */
export function cutInto(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = lengths[pieces.length % lengths.length] ?? bytes.length;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

/** Lengths for {@linkcode cutInto}: mostly short ones, because errors are at the borders of pieces. */
export function pieceLengths(): fc.Arbitrary<number[]> {
  return fc.array(
    fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 8 }) }, fc.integer({ min: 1, max: 2_000 })),
    {
      minLength: 1,
      maxLength: 20,
    },
  );
}

/** Returns each piece on a read of its own, cut to the size of the buffer, and then the end. */
export function sourceOf(pieces: readonly Uint8Array[]): ByteSource {
  const pending = [...pieces];
  return {
    read(buffer) {
      const piece = pending.shift();
      if (piece === undefined) return Promise.resolve(null);
      const taken = piece.subarray(0, buffer.length);
      if (taken.length < piece.length) pending.unshift(piece.subarray(taken.length));
      buffer.set(taken);
      return Promise.resolve(taken.length);
    },
  };
}
