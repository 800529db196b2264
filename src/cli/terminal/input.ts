/** Where a person answers, or a pipe that says what one would. */
export interface Input {
  readonly isTerminal: boolean;
  /** Whether it is a pipe, or a file with something in it: found out without reading. */
  isPiped(): Promise<boolean>;
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
    isPiped,
    read: (buffer) => stream.read(buffer),
    readLine: () => readLine(stream),
  };
}

/** The streams of Deno do not say what they are. */
async function isPiped(): Promise<boolean> {
  try {
    const { isFifo, isFile, size } = await Deno.stat("/dev/stdin");
    return isFifo === true || (isFile && size > 0);
  } catch (error) {
    // There are places without /dev, and devices of somebody else.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
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
