/**
 * The demo's embedded engine and daemon: two processes with a temporary directory, isolated from the user's own daemon.
 * Disposal ends the daemon, then the engine, and removes the directory. Both run in process sessions of their own, so Ctrl-C
 * reaches only the demo, which then ends them in order.
 */
import { delay } from "@std/async/delay";
import { join } from "@std/path/posix";
import { request } from "../client/control_exchange.ts";
import { ApexError } from "../platform/apex_error.ts";
import { isListenedOn } from "../platform/unix_socket.ts";

const START_TIMEOUT_MS = 15_000;
const POLL_MS = 20;
/** How long a process may take to end after SIGTERM. */
const END_TIMEOUT_MS = 5_000;

export interface DemoProcessesOptions {
  /** The command line that starts apex: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  /** Ends the demo early; it still cleans up. */
  readonly abort: AbortSignal;
  /** Where to create the temporary directory: `/tmp` by default. */
  readonly parentDir?: string | undefined;
}

/** TMPDIR may be too long: the path of a Unix socket holds only about a hundred bytes. */
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
   * Resolves when the daemon is connected to the engine.
   *
   * @throws {ApexError} `failed` if one of the two ends or takes too long, with its log
   */
  static async start(options: DemoProcessesOptions): Promise<DemoProcesses> {
    const { parentDir = DEFAULT_PARENT_DIR } = options;
    const dir = await Deno.makeTempDir({ dir: parentDir, prefix: "apex-demo-" });
    const processes = new DemoProcesses(dir, options);
    try {
      const { engineSocket } = processes;
      // The demo starts the engine itself, so that it is a child process, and ends with the demo.
      processes.#spawn("engine", ["--dir", join(processes.#dir, "engine"), "--listen", engineSocket]);
      await processes.#until("the embedded engine", () => isListenedOn(engineSocket));
      processes.#spawn("daemon", ["--engine", "embedded"]);
      await processes.#until("the daemon", () => processes.#isConnected());
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
      this.#options.abort.throwIfAborted();
      const ended = this.#children.some((child) => child.hasEnded);
      if (ended || Date.now() > deadline) {
        const log = this.#children.at(-1)?.log.trim() ?? "";
        throw new ApexError(
          "failed",
          `cannot start ${what} of the demo: it ${ended ? "exited" : "took too long"}: ${log}`,
        );
      }
      await delay(POLL_MS);
    }
  }

  async #isConnected(): Promise<boolean> {
    if (!(await isListenedOn(this.#controlSocket))) return false;
    return (await request(this.#controlSocket, "status", {})).engine.state === "connected";
  }
}

/** How many characters of a log are kept, from its end. */
const MAX_LOG_CHARACTERS = 4_000;

class Child {
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #status: Promise<void>;
  /** The end of its standard error. */
  log = "";
  hasEnded = false;

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
      this.hasEnded = true;
    });
  }

  async end(): Promise<void> {
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), END_TIMEOUT_MS);
    await this.#status;
    clearTimeout(timer);
    await this.#reading;
  }

  #signal(signal: Deno.Signal): void {
    if (!this.hasEnded) this.#process.kill(signal);
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.log = (this.log + text).slice(-MAX_LOG_CHARACTERS);
    }
  }
}
