/**
 * The daemon and the embedded engine that the demo plays on: two processes in a temporary directory, nothing of the
 * user's own touched. Disposal ends both, and removes the directory. They have sessions of their own, so a Ctrl-C at
 * the terminal reaches the demo alone, which then ends them in order.
 */
import { delay } from "@std/async/delay";
import { join } from "@std/path/posix";
import { request } from "../client/control_exchange.ts";
import { ApexError } from "../platform/apex_error.ts";
import { isListenedOn } from "../platform/unix_socket.ts";

const START_TIMEOUT_MS = 15_000;
const POLL_MS = 20;
/** How long they may take to end by themselves. */
const END_TIMEOUT_MS = 5_000;

export interface DemoProcessesOptions {
  /** The command that is apex itself. */
  readonly selfCommand: readonly string[];
  readonly signal: AbortSignal;
  /** In which the temporary directory is made. */
  readonly parentDir?: string | undefined;
}

/** Short, and not where TMPDIR may point: a Unix socket's path holds about a hundred bytes. */
const DEFAULT_PARENT_DIR = "/tmp";

export class DemoProcesses implements AsyncDisposable {
  readonly engineSocket: string;
  readonly eventsSocket: string;
  readonly #dir: string;
  readonly #controlSocket: string;
  readonly #options: DemoProcessesOptions;
  readonly #children: Child[] = [];

  private constructor(dir: string, options: DemoProcessesOptions) {
    this.#dir = dir;
    this.#options = options;
    this.engineSocket = join(dir, "engine.socket");
    this.eventsSocket = join(dir, "events.socket");
    this.#controlSocket = join(dir, "apex.socket");
  }

  /**
   * Resolves when the daemon follows the engine.
   * @throws {ApexError} `failed` when one of the two ends or takes too long, with what it said
   */
  static async start(options: DemoProcessesOptions): Promise<DemoProcesses> {
    const { parentDir = DEFAULT_PARENT_DIR } = options;
    const dir = await Deno.makeTempDir({ dir: parentDir, prefix: "apex-demo-" });
    const processes = new DemoProcesses(dir, options);
    try {
      const { engineSocket } = processes;
      // The engine by hand, not by the daemon: so it is a child, and can be ended with the demo.
      processes.#spawn("engine", ["--dir", join(processes.#dir, "engine"), "--listen", engineSocket]);
      await processes.#until("the embedded engine", () => isListenedOn(engineSocket));
      processes.#spawn("daemon", ["--engine", "embedded"]);
      await processes.#until("the daemon", () => processes.#follows());
      return processes;
    } catch (error) {
      await processes[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.splice(0).reverse()) await child.end();
    await Deno.remove(this.#dir, { recursive: true });
  }

  #spawn(verb: string, args: readonly string[]): void {
    this.#children.push(
      new Child([...this.#options.selfCommand, verb, ...args], {
        APEX_RUNTIME_DIR: this.#dir,
        APEX_STATE_DIR: join(this.#dir, "state"),
        XDG_CONFIG_HOME: join(this.#dir, "config"),
      }),
    );
  }

  async #until(what: string, isReady: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await isReady())) {
      this.#options.signal.throwIfAborted();
      const ended = this.#children.some((child) => child.hasEnded);
      if (ended || Date.now() > deadline) {
        const said = this.#children.at(-1)?.said.trim() ?? "";
        throw new ApexError(
          "failed",
          `${what} of the demo ${ended ? "ended at once" : "did not start in time"}: ${said}`,
        );
      }
      await delay(POLL_MS);
    }
  }

  async #follows(): Promise<boolean> {
    if (!(await isListenedOn(this.#controlSocket))) return false;
    return (await request(this.#controlSocket, "status", {})).engine.state === "connected";
  }
}

/** Characters of the end of what a child said that are kept. */
const MAX_SAID_CHARACTERS = 4_000;

class Child {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #status: Promise<void>;
  #said = "";
  #hasEnded = false;

  constructor([program = "", ...args]: readonly string[], env: Record<string, string>) {
    this.#process = new Deno.Command(program, {
      args,
      env,
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#read();
    this.#status = this.#process.status.then(() => {
      this.#hasEnded = true;
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The end of its standard error. */
  get said(): string {
    return this.#said;
  }

  async end(): Promise<void> {
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), END_TIMEOUT_MS);
    await this.#status;
    clearTimeout(timer);
    await this.#reading;
  }

  #signal(signal: Deno.Signal): void {
    if (!this.#hasEnded) this.#process.kill(signal);
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.#said = (this.#said + text).slice(-MAX_SAID_CHARACTERS);
    }
  }
}
