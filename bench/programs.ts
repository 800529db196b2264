/**
 * The programs that the bench runs beside each other: three sinks (apex's event log, and two in C), the readers, and
 * terminals, each a process of its own. The C ones are compiled for the run, where there is a `cc`.
 */
import { TextLineStream } from "@std/streams/text-line-stream";

/**
 * `apex`: the product. `bare`: the runtime's own floor, a loop of writes in Deno. `line`: C, a queue per subscriber and a
 * write per line. `chunk`: C, writes of 64 KiB.
 */
export type SinkName = "apex" | "bare" | "line" | "chunk";

export interface Burst {
  readonly subscribers: number;
  /** Lines in a burst. */
  readonly lines: number;
  /** How many are measured; one more goes before, for warmth. */
  readonly bursts: number;
  /** Between two bursts; none by default. */
  readonly pauseMs?: number;
}

/** A process whose output is read line by line. */
export class LineProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stdout: ReadableStreamDefaultReader<string>;

  constructor(command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = command as [string, ...string[]];
    this.#child = new Deno.Command(program, { args, env, stdin: "piped", stdout: "piped" }).spawn();
    this.pid = this.#child.pid;
    this.#stdin = this.#child.stdin.getWriter();
    this.#stdout = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      .getReader();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#stdout.read();
    if (done) throw new Error(`process ${this.pid} of the bench has ended before its time`);
    return value;
  }

  /** Writes a line to its input. */
  async tell(line = ""): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    try {
      this.#child.kill("SIGTERM");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#stdout.cancel();
    await this.#child.status;
  }
}

/** A running server of lines. */
export class Sink implements AsyncDisposable {
  readonly eventsPath: string;
  readonly controlPath: string;
  readonly #process: LineProcess;

  /** @internal by {@linkcode BenchPrograms.startSink} */
  constructor(command: readonly string[], dir: string) {
    this.eventsPath = `${dir}/e`;
    this.controlPath = `${dir}/c`;
    this.#process = new LineProcess([...command, this.eventsPath, this.controlPath]);
  }

  async ready(): Promise<this> {
    await this.#process.line();
    return this;
  }

  /** Resident memory, in MiB. */
  async residentMib(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#process.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

/** A program at a pseudo-terminal of its own, and somebody fast who types at it. */
export class BenchTerminal implements AsyncDisposable {
  readonly #process: LineProcess;

  /** @internal by {@linkcode BenchPrograms.openTerminal} */
  constructor(command: readonly string[], env: Readonly<Record<string, string>>) {
    this.#process = new LineProcess(command, env);
  }

  /** Resolves when the program has answered a key, and is silent. */
  async settle(): Promise<this> {
    await this.#ask("settle");
    return this;
  }

  /** Milliseconds from each key to its coming back, one key after the other. */
  async pressKeys(count: number): Promise<number[]> {
    return (await this.#ask(`keys ${count}`)).split(" ").map((nanoseconds) => Number(nanoseconds) / 1e6);
  }

  /** Presses return; milliseconds until so many bytes have come. */
  async takeBytes(bytes: number): Promise<number> {
    return Number(await this.#ask(`take ${bytes}`)) / 1e6;
  }

  /** Presses return. What the program shows then is read, and forgotten. */
  async pressReturn(): Promise<void> {
    await this.#ask("return");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }

  async #ask(line: string): Promise<string> {
    await this.#process.tell(line);
    return await this.#process.line();
  }
}

/** What can be run on this machine. */
export class BenchPrograms implements AsyncDisposable {
  /** The sinks that there are: without `cc` only apex itself. */
  readonly sinks: readonly SinkName[];
  readonly #dir: string;

  static async prepare(): Promise<BenchPrograms> {
    const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-bench-" });
    const compiled = await Promise.all(["sink", "readers", "terminal"].map((name) => compile(name, dir)));
    return new BenchPrograms(dir, compiled.every(Boolean));
  }

  private constructor(dir: string, native: boolean) {
    this.#dir = dir;
    this.sinks = native ? ["apex", "line", "chunk"] : ["apex"];
  }

  get native(): boolean {
    return this.sinks.length > 1;
  }

  async startSink(name: SinkName): Promise<Sink> {
    const dir = await Deno.makeTempDir({ dir: this.#dir });
    const command = name === "apex"
      ? denoProgram("sink_server.ts")
      : name === "bare"
      ? denoProgram("bare_server.ts")
      : [`${this.#dir}/sink`, name];
    return await new Sink(command, dir).ready();
  }

  /** Runs a command at a terminal of 80 columns and 24 rows. Needs {@linkcode native}. */
  openTerminal(command: readonly string[], env: Readonly<Record<string, string>> = {}): BenchTerminal {
    return new BenchTerminal([`${this.#dir}/terminal`, ...command], env);
  }

  /** Connects readers; `connected` runs when all are registered, before the first burst. Returns ms a burst. */
  async measure(sink: Sink, burst: Burst, connected?: () => Promise<void>): Promise<number[]> {
    const program = this.native ? [`${this.#dir}/readers`] : denoProgram("readers.ts");
    const { subscribers, lines, bursts, pauseMs = 0 } = burst;
    const args = [subscribers, lines, bursts + 1, pauseMs].map(String);
    await using readers = new LineProcess([...program, sink.eventsPath, sink.controlPath, ...args]);
    await readers.line();
    await connected?.();
    await readers.tell();
    const elapsedMs: number[] = [];
    for (let line = await readers.line(); line !== "end"; line = await readers.line()) {
      elapsedMs.push(Number(line) / 1e6);
    }
    return elapsedMs.slice(1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** The command that runs a program of this directory in the runtime. */
export function denoProgram(file: string): string[] {
  return [Deno.execPath(), "run", "-A", "--no-check", new URL(file, import.meta.url).pathname];
}

/** False where there is no C compiler. */
async function compile(name: string, dir: string): Promise<boolean> {
  const source = new URL(`native/${name}.c`, import.meta.url).pathname;
  try {
    const { success } = await new Deno.Command("cc", {
      args: ["-O2", "-o", `${dir}/${name}`, source, "-lutil"],
    })
      .output();
    if (!success) throw new Error(`cc cannot compile ${source}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
