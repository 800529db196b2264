/**
 * Cuts lines that are too long out of a byte stream before anything buffers them. TextLineStream holds the line it is
 * in without a limit; behind this one that is never more than `maxLineBytes`.
 */
export interface LineLengthLimitOptions {
  readonly maxLineBytes: number;
  /** Told once for each line that was cut, when its end has been found: the bytes it had. */
  readonly onTooLong: (lineBytes: number) => void;
}

const LF = 0x0a;
const CUT_END = Uint8Array.of(LF);

/**
 * Passes bytes through. A line over the limit is ended where it reached it, and its rest up to LF is dropped: what is
 * left of it comes out as a line that is broken JSON, and the next line is whole.
 */
export class LineLengthLimit extends TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  constructor({ maxLineBytes, onTooLong }: LineLengthLimitOptions) {
    /** Bytes of the line that the last chunk left open; beyond the limit, its rest is being dropped. */
    let openBytes = 0;
    super({
      transform(chunk, controller) {
        // The usual case costs two searches: one line's end near each end of the chunk, nothing in between too long.
        if (openBytes + chunk.length <= maxLineBytes) {
          const lastEnd = chunk.lastIndexOf(LF);
          openBytes = lastEnd === -1 ? openBytes + chunk.length : chunk.length - lastEnd - 1;
          controller.enqueue(chunk);
          return;
        }
        let start = 0;
        while (start < chunk.length) {
          const end = chunk.indexOf(LF, start);
          const stop = end === -1 ? chunk.length : end;
          const wasOver = openBytes > maxLineBytes;
          const room = Math.max(0, maxLineBytes - openBytes);
          openBytes += stop - start;
          const isOver = openBytes > maxLineBytes;
          const kept = chunk.subarray(start, isOver ? start + room : end === -1 ? stop : stop + 1);
          if (kept.length > 0) controller.enqueue(kept);
          if (isOver && !wasOver) controller.enqueue(CUT_END.slice());
          if (end === -1) return;
          if (isOver) onTooLong(openBytes);
          openBytes = 0;
          start = end + 1;
        }
      },
    });
  }
}
