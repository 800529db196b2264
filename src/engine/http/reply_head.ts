/** The head of an HTTP/1.1 reply, read by hand from a connection that is to be taken over. */

/** Where bytes come from; `Deno.Conn` is one. */
interface ByteSource {
  read(buffer: Uint8Array): Promise<number | null>;
}

export interface ReplyHead {
  readonly status: number;
  /** From the `Content-Length` header. */
  readonly bodyBytes?: number;
  /** Its body is in chunks. */
  readonly isChunked: boolean;
  /** What had already come behind the head. */
  readonly rest: Uint8Array;
}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_BODY_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * Reads up to the empty line.
 * @throws {SyntaxError} when it is no reply, or its head is longer than any
 */
export async function readReplyHead(source: ByteSource): Promise<ReplyHead> {
  const buffer = new Uint8Array(MAX_HEAD_BYTES);
  const decoder = new TextDecoder("latin1");
  for (let length = 0; length < buffer.length;) {
    const count = await source.read(buffer.subarray(length));
    if (count === null) throw new SyntaxError("the connection ended before the reply did");
    const searchFrom = Math.max(length - HEAD_END.length, 0);
    length += count;
    const found = decoder.decode(buffer.subarray(searchFrom, length)).indexOf(HEAD_END);
    if (found < 0) continue;
    const end = searchFrom + found;
    const rest = buffer.slice(end + HEAD_END.length, length);
    return { ...parseHead(decoder.decode(buffer.subarray(0, end))), rest };
  }
  throw new SyntaxError(`the head of the reply is over ${MAX_HEAD_BYTES} bytes`);
}

/**
 * The body of a reply that is no hand-over: as long as its head says, or else up to what may be its end, and never more
 * than 64 KiB. Its transfer coding, if it has one, is cut away around the JSON object in it.
 */
export async function readRestOfReply(source: ByteSource, head: ReplyHead): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(MAX_BODY_BYTES);
  let length = Math.min(head.rest.length, buffer.length);
  buffer.set(head.rest.subarray(0, length));
  const wanted = Math.min(head.bodyBytes ?? buffer.length, buffer.length);
  while (length < wanted) {
    if (head.bodyBytes === undefined && decoder.decode(buffer.subarray(0, length)).endsWith("0\r\n\r\n")) {
      break;
    }
    const count = await source.read(buffer.subarray(length, wanted));
    if (count === null) break;
    length += count;
  }
  const text = decoder.decode(buffer.subarray(0, length));
  return /\{.*\}/s.exec(text)?.[0] ?? text;
}

function parseHead(head: string): Omit<ReplyHead, "rest"> {
  const status = /^HTTP\/1\.\d (\d{3})(?: |\r|$)/.exec(head)?.[1];
  if (status === undefined) throw new SyntaxError("what came is no HTTP reply");
  const bodyBytes = /^content-length:[ \t]*(\d{1,9})[ \t]*$/im.exec(head)?.[1];
  const isChunked = /^transfer-encoding:.*\bchunked[ \t]*$/im.test(head);
  return {
    status: Number(status),
    isChunked,
    ...(bodyBytes !== undefined && { bodyBytes: Number(bodyBytes) }),
  };
}
