import { cancelReader } from "./cancel_reader.ts";

/** A reply went on beyond what its reader accepts. */
export class BodyTooLarge extends Error {
  override readonly name: string = "BodyTooLarge";
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** Gives up on a body that stands still. */
  readonly signal?: AbortSignal;
}

/**
 * Reads a whole body as UTF-8, holding at most `maxBytes` of it. Whatever happens, the body is used up or cancelled.
 * @throws {BodyTooLarge}
 * @throws the signal's reason when it aborts
 */
export async function readBoundedText(response: Response, { maxBytes, signal }: BodyLimits): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const giveUp = () => void cancelReader(reader);
  if (signal?.aborted) giveUp();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    const decoder = new TextDecoder();
    const parts: string[] = [];
    let bytes = 0;
    while (true) {
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) break;
      bytes += value.length;
      if (bytes > maxBytes) throw new BodyTooLarge(`the reply is over ${maxBytes} bytes`);
      parts.push(decoder.decode(value, { stream: true }));
    }
    parts.push(decoder.decode());
    return parts.join("");
  } catch (error) {
    await cancelReader(reader);
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}
