/**
 * Decodes the chunked transfer coding of an HTTP/1.1 reply (RFC 9112, section 7.1). Data is passed on as it arrives, so
 * the decoder never holds more than a number.
 */
export class ChunkedDecoder {
  #part: "size" | "extension" | "data" | "dataEnd" | "trailer" | "done" = "size";
  #remaining = 0;
  #sizeDigits = 0;
  /** Bytes in the current line of the trailer; an empty line ends the body. */
  #lineBytes = 0;

  /** Whether the end of the body has been decoded. */
  get isDone(): boolean {
    return this.#part === "done";
  }

  /**
   * Returns the data in the next bytes, with all chunks joined.
   * @param bytes is overwritten: the result is a part of it
   * @throws {SyntaxError} when the bytes are not chunked
   */
  push(bytes: Uint8Array): Uint8Array {
    let end = 0;
    for (let at = 0; at < bytes.length && this.#part !== "done";) {
      if (this.#part === "data") {
        const length = Math.min(this.#remaining, bytes.length - at);
        bytes.copyWithin(end, at, at + length);
        end += length;
        at += length;
        this.#remaining -= length;
        if (this.#remaining === 0) this.#part = "dataEnd";
      } else {
        this.#control(bytes[at++]!);
      }
    }
    return bytes.subarray(0, end);
  }

  /** Handles one byte between the data of two chunks. */
  #control(byte: number): void {
    switch (this.#part) {
      case "size":
        return this.#sizeByte(byte);
      case "extension":
        if (byte === LF) this.#endSize();
        return;
      case "dataEnd":
        if (byte === LF) this.#part = "size";
        else if (byte !== CR) throw new SyntaxError("a chunk is longer than it says");
        return;
      default:
        if (byte === LF && this.#lineBytes === 0) this.#part = "done";
        else if (byte === LF) this.#lineBytes = 0;
        else if (byte !== CR) this.#lineBytes++;
    }
  }

  #sizeByte(byte: number): void {
    const digit = HEX_DIGITS.indexOf(String.fromCharCode(byte).toLowerCase());
    if (digit >= 0 && ++this.#sizeDigits <= MAX_SIZE_DIGITS) {
      this.#remaining = this.#remaining * 16 + digit;
    } else if (this.#sizeDigits === 0 || digit >= 0) {
      throw new SyntaxError("a chunk has an invalid size");
    } else if (byte === LF) {
      this.#endSize();
    } else if (byte === CR || byte === SEMICOLON || byte === SPACE) {
      this.#part = "extension";
    } else {
      throw new SyntaxError("a chunk has an invalid size");
    }
  }

  #endSize(): void {
    this.#sizeDigits = 0;
    this.#part = this.#remaining > 0 ? "data" : "trailer";
  }
}

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
const SPACE = 0x20;
const HEX_DIGITS = "0123456789abcdef";
/** 256 MiB minus one byte: no engine sends larger chunks. */
const MAX_SIZE_DIGITS = 7;
