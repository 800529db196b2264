/** Reading the body of a reply: as text, or line by line, with a limit on what is held in memory. */
import { TextLineStream } from "@std/streams/text-line-stream";

export interface BodyLimits {
  readonly maxBytes: number;
  /** Cancels the read. */
  readonly abort?: AbortSignal | undefined;
}

/**
 * Reads a whole body as UTF-8, holding at most `maxBytes` of it. The body is always consumed or cancelled.
 * @throws {RangeError} when the body is longer
 * @throws the reason of `abort` when it aborts
 */
export async function readBoundedText(response: Response, { maxBytes, abort }: BodyLimits): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const release = cancelOnAbort(reader, abort);
  try {
    const decoder = new TextDecoder();
    const parts: string[] = [];
    let bytes = 0;
    while (true) {
      const { done, value } = await reader.read();
      abort?.throwIfAborted();
      if (done) break;
      bytes += value.length;
      if (bytes > maxBytes) throw new RangeError(`the reply is over ${maxBytes} bytes`);
      parts.push(decoder.decode(value, { stream: true }));
    }
    parts.push(decoder.decode());
    return parts.join("");
  } catch (error) {
    await cancelReader(reader);
    throw error;
  } finally {
    release();
  }
}

/** Cancels the stream behind a reader, whatever its state. Never rejects. */
export async function cancelReader(reader: ReadableStreamDefaultReader<unknown>): Promise<void> {
  try {
    await reader.cancel();
  } catch (_error) {
    // The stream was already broken: nothing is left to cancel, and `read` throws the reason.
  }
}

/**
 * Cancels the reader when `abort` aborts. The signal that was passed to `fetch` stops reaching the body once garbage
 * has been collected (Deno 2.4 and 2.9), so a quiet stream could not be ended without this.
 * @returns a function that removes the listener
 */
export function cancelOnAbort(
  reader: ReadableStreamDefaultReader<unknown>,
  abort: AbortSignal | undefined,
): () => void {
  const cancel = (): void => void cancelReader(reader);
  if (abort?.aborted) cancel();
  abort?.addEventListener("abort", cancel, { once: true });
  return () => abort?.removeEventListener("abort", cancel);
}

export interface LineLimits {
  readonly maxLineBytes: number;
  /** Called once per line that was cut, at its end, with the bytes that it had. */
  readonly onTooLong?: (lineBytes: number) => void;
}

/**
 * The lines of a body. A line over the limit is cut there and the rest of it is dropped, so that it comes out as broken
 * JSON and the next line is whole.
 */
export function linesOf(
  body: ReadableStream<Uint8Array>,
  limits: LineLimits,
): ReadableStreamDefaultReader<string> {
  // The bytes of a socket are never shared memory, although the type allows for it.
  return (body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new LineLengthLimit(limits))
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream())
    .getReader();
}

const LF = 0x0a;
const CUT_END = Uint8Array.of(LF);

/** Passes bytes through and cuts long lines: the TextLineStream behind it buffers the current line without a limit. */
class LineLengthLimit extends TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  constructor({ maxLineBytes, onTooLong }: LineLimits) {
    /** The bytes so far of the line that the last chunk left open. Beyond the limit, the rest of the line is dropped. */
    let openBytes = 0;
    super({
      transform(chunk, controller) {
        // The usual case costs one search: no line in the chunk can be too long.
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
          if (isOver) onTooLong?.(openBytes);
          openBytes = 0;
          start = end + 1;
        }
      },
    });
  }
}
