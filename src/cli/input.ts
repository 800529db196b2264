/** Where a person answers, or a pipe that says what one would. */
export interface Input {
  readonly isTerminal: boolean;
  /** Bytes as they come; how many, or null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** A line without its end; null when there is none any more. */
  readLine(): Promise<string | null>;
}

/** What of `Deno.stdin` is needed. */
export interface InputStream {
  read(buffer: Uint8Array): Promise<number | null>;
  isTerminal(): boolean;
}

/** An answer is a word; what is longer is no answer, and is cut. */
const MAX_LINE_BYTES = 4_096;

export function openInput(stream: InputStream): Input {
  return {
    get isTerminal() {
      return stream.isTerminal();
    },
    read: (buffer) => stream.read(buffer),
    readLine: () => readLine(stream),
  };
}

/** At a terminal a read gives at most one line; what comes behind it belongs to whoever reads next. */
async function readLine(stream: InputStream): Promise<string | null> {
  const decoder = new TextDecoder();
  const byte = new Uint8Array(1);
  let line = "";
  for (let length = 0; length < MAX_LINE_BYTES; length++) {
    if (await stream.read(byte) === null) return line === "" ? null : line;
    if (byte[0] === LF) break;
    line += decoder.decode(byte, { stream: true });
  }
  return line;
}

const LF = 0x0a;
