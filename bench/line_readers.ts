/**
 * `line_readers SOCKET SUBSCRIBERS` connects SUBSCRIBERS readers and prints "ready". Each line of its input is a number N.
 * When each reader has received N further lines, it prints the time in milliseconds since the Unix epoch.
 */
import { TextLineStream } from "@std/streams/text-line-stream";

const LF = 10;
const [path, subscribers] = Deno.args as [string, string];
const encoder = new TextEncoder();
const print = (line: string) => Deno.stdout.write(encoder.encode(`${line}\n`));

class LineCounter {
  /** Received lines minus requested lines. */
  #count = 0;
  #resolve: (() => void) | undefined;

  constructor(connection: Deno.Conn) {
    void this.#read(connection);
  }

  more(lines: number): Promise<void> {
    this.#count -= lines;
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#check();
    });
  }

  async #read(connection: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(256 * 1024);
    for (
      let length = await connection.read(buffer);
      length !== null;
      length = await connection.read(buffer)
    ) {
      for (let at = buffer.indexOf(LF); at >= 0 && at < length; at = buffer.indexOf(LF, at + 1)) {
        this
          .#count++;
      }
      this.#check();
    }
  }

  #check(): void {
    if (this.#count < 0) return;
    this.#resolve?.();
    this.#resolve = undefined;
  }
}

const counters: LineCounter[] = [];
for (let n = 0; n < Number(subscribers); n++) {
  counters.push(new LineCounter(await Deno.connect({ transport: "unix", path })));
}
await print("ready");
const wanted = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
for await (const line of wanted) {
  await Promise.all(counters.map((counter) => counter.more(Number(line))));
  await print(String(performance.timeOrigin + performance.now()));
}
Deno.exit(0);
