/**
 * The programs that the bench compares: the sinks (apex's event log, and others), the readers, and terminals. Each runs as a
 * process of its own. Those in C are compiled for the run, if `cc` is installed.
 */
import { TextLineStream } from "@std/streams/text-line-stream";

/**
 * `apex` is the product. `bare` is a loop of writes in Deno, the best that the runtime allows. `line` is in C, with a queue
 * per subscriber and a write per line. `chunk` is in C, with writes of 64 KiB.
 */
export type SinkName = "apex" | "bare" | "line" | "chunk";

export interface Burst {
  readonly subscribers: number;
  /** Lines per burst. */
  readonly lines: number;
  /** How many bursts are measured. One more precedes them as a warm-up. */
  readonly bursts: number;
  /** The pause between two bursts; 0 by default. */
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
    if (done) throw new Error(`process ${this.pid} of the bench has ended too early`);
    return value;
  }

  /** Writes a line to its input. */
  async writeLine(line = ""): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(`${line}\n`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close();
    try {
      this.#child.kill("SIGTERM");
    } catch (error) {
      // The process has already ended.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#stdout.cancel();
    await this.#child.status;
  }
}

/** A running server that sends lines to its subscribers. */
export class Sink implements AsyncDisposable {
  readonly eventsPath: string;
  readonly controlPath: string;
  readonly #process: LineProcess;

  /** Use {@linkcode BenchPrograms.startSink}. */
  constructor(command: readonly string[], dir: string) {
    this.eventsPath = `${dir}/e`;
    this.controlPath = `${dir}/c`;
    this.#process = new LineProcess([...command, this.eventsPath, this.controlPath]);
  }

  async ready(): Promise<this> {
    await this.#process.line();
    return this;
  }

  /** Returns the resident memory, in MiB. */
  async residentMib(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#process.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

/** A program in a pseudo-terminal, and a fast typist. */
export class BenchTerminal implements AsyncDisposable {
  readonly #process: LineProcess;

  /** Use {@linkcode BenchPrograms.openTerminal}. */
  constructor(command: readonly string[], env: Readonly<Record<string, string>>) {
    this.#process = new LineProcess(command, env);
  }

  /** Resolves when the program has echoed a key, and then is silent. */
  async settle(): Promise<this> {
    await this.#ask("settle");
    return this;
  }

  /** Presses keys one after another. Returns the milliseconds from each key to its echo. */
  async pressKeys(count: number): Promise<number[]> {
    return (await this.#ask(`keys ${count}`)).split(" ").map((nanoseconds) => Number(nanoseconds) / 1e6);
  }

  /** Presses return. Returns the milliseconds until `bytes` bytes were printed. */
  async takeBytes(bytes: number): Promise<number> {
    return Number(await this.#ask(`take ${bytes}`)) / 1e6;
  }

  /** Presses return. The output that follows is read and dropped. */
  async pressReturn(): Promise<void> {
    await this.#ask("return");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }

  async #ask(line: string): Promise<string> {
    await this.#process.writeLine(line);
    return await this.#process.line();
  }
}

/** The programs that this machine can run. */
export class BenchPrograms implements AsyncDisposable {
  /** The available sinks: without `cc` only apex. */
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

  /** Runs a command in a terminal of 80 columns and 24 rows. Requires {@linkcode native}. */
  openTerminal(command: readonly string[], env: Readonly<Record<string, string>> = {}): BenchTerminal {
    return new BenchTerminal([`${this.#dir}/terminal`, ...command], env);
  }

  /**
   * Connects readers and measures bursts. Calls `connected` when all readers are registered, before the first burst.
   * Returns the milliseconds per burst.
   */
  async measure(sink: Sink, burst: Burst, connected?: () => Promise<void>): Promise<number[]> {
    const program = this.native ? [`${this.#dir}/readers`] : denoProgram("readers.ts");
    const { subscribers, lines, bursts, pauseMs = 0 } = burst;
    const args = [subscribers, lines, bursts + 1, pauseMs].map(String);
    await using readers = new LineProcess([...program, sink.eventsPath, sink.controlPath, ...args]);
    await readers.line();
    await connected?.();
    await readers.writeLine();
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

/** Returns the command that runs a program of this directory in Deno. */
export function denoProgram(file: string): string[] {
  return [Deno.execPath(), "run", "-A", "--no-check", new URL(file, import.meta.url).pathname];
}

/** Returns false if no C compiler is installed. */
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
