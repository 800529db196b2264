/**
 * apex as separate processes: `$APEX_BIN` if it is set (the compiled binary, in CI), else from source.
 * Each daemon has its own directories. Every process that was started here is ended here, by its pid.
 */
import { assert } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { request } from "../../../src/client/control_exchange.ts";
import { readLockHolder } from "../../../src/embedded_engine/engine_lock.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { closeQuietly, isListenedOn } from "../../../src/platform/unix_socket.ts";
import { nameTestImage } from "../engines/embedded_engine.ts";

/** The command that runs apex, without arguments. */
export const APEX_COMMAND: readonly string[] = Deno.env.get("APEX_BIN")
  ? [Deno.env.get("APEX_BIN")!]
  : [Deno.execPath(), "run", "-A", "--quiet", fromFileUrl(new URL("../../../main.ts", import.meta.url))];

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The directories of one daemon, its clients and its embedded engine. */
export class ApexHome implements AsyncDisposable {
  readonly dir: string;
  readonly env: Record<string, string>;
  readonly controlSocket: string;
  readonly eventsSocket: string;
  readonly engineSocket: string;

  private constructor(dir: string) {
    this.dir = dir;
    this.env = {
      APEX_RUNTIME_DIR: `${dir}/run`,
      APEX_STATE_DIR: `${dir}/state`,
      XDG_CONFIG_HOME: `${dir}/config`,
    };
    this.controlSocket = `${dir}/run/apex.socket`;
    this.eventsSocket = `${dir}/run/events.socket`;
    this.engineSocket = `${dir}/run/engine.socket`;
  }

  static async create(): Promise<ApexHome> {
    return new ApexHome(await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" }));
  }

  /** Writes the configuration file of the daemon and its clients. */
  async configure(toml: string): Promise<void> {
    await Deno.mkdir(`${this.dir}/config/apex`, { recursive: true });
    await Deno.writeTextFile(`${this.dir}/config/apex/config.toml`, toml);
  }

  /** Runs a verb to its end. */
  async apex(
    args: readonly string[],
    options: { readonly env?: Record<string, string> } = {},
  ): Promise<Finished> {
    const [program, ...first] = APEX_COMMAND;
    const output = await new Deno.Command(program!, {
      args: [...first, ...args],
      env: { ...this.env, ...options.env },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return {
      code: output.code,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
  }

  /** Starts a verb and leaves it running. */
  spawn(args: readonly string[], options: { readonly wrap?: readonly string[] } = {}): ApexProcess {
    const [program, ...rest] = [...(options.wrap ?? []), ...APEX_COMMAND, ...args];
    return new ApexProcess(
      new Deno.Command(program!, {
        args: rest,
        env: this.env,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
  }

  /**
   * Starts a daemon and waits until it follows its engine: earlier changes belong to its baseline, and are not events.
   * With `engineIsThere: false`, waits only until it answers.
   */
  async startDaemon(
    args: readonly string[] = ["--engine", "embedded"],
    options: { readonly wrap?: readonly string[]; readonly engineIsThere?: false } = {},
  ): Promise<ApexProcess> {
    const daemon = this.spawn(["daemon", ...args], options);
    const deadline = Date.now() + 20_000;
    while (!await this.#isReady(options.engineIsThere ?? true)) {
      if (daemon.ended || Date.now() > deadline) {
        await daemon[Symbol.asyncDispose]();
        throw new Error(`the daemon did not start: ${daemon.stderrSoFar}`);
      }
      await pause(20);
    }
    if (args.includes("embedded") && (options.engineIsThere ?? true)) await nameTestImage(this.engineSocket);
    return daemon;
  }

  /** Ends the processes that were started here, a client's daemon and the embedded engine, and removes the directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endDaemon();
    await this.endEngine();
    await Deno.remove(this.dir, { recursive: true });
  }

  /** Ends a daemon that a client started, which outlives the client. */
  async #endDaemon(): Promise<void> {
    try {
      Deno.kill((await request(this.controlSocket, "status", {})).pid, "SIGTERM");
    } catch (error) {
      if (error instanceof ApexError && error.code === "no_daemon") return;
      throw error;
    }
    await eventually(async () => !await isListenedOn(this.controlSocket), "the daemon has ended");
  }

  /** Ends the embedded engine, which outlives its daemon by design. Its pid is in its lock file. */
  async endEngine(): Promise<void> {
    const holder = await readLockHolder(`${this.dir}/state/engine/lock`);
    if (holder === undefined) return; // No engine was started here.
    try {
      Deno.kill(holder.pid, "SIGTERM");
    } catch (error) {
      // It has ended already.
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    // The engine ends its containers first, and has files open in here until then.
    await eventually(() => hasEnded(holder.pid), "the embedded engine has ended");
  }

  async #isReady(engineIsThere: boolean): Promise<boolean> {
    try {
      const { engine } = await request(this.controlSocket, "status", {});
      return !engineIsThere || engine.state === "connected";
    } catch (error) {
      if (error instanceof ApexError) return false;
      throw error;
    }
  }
}

/** A running process of apex. */
export class ApexProcess implements AsyncDisposable {
  readonly pid: number;
  readonly status: Promise<Deno.CommandStatus>;
  ended = false;
  readonly #child: Deno.ChildProcess;
  readonly #output: Record<"stdout" | "stderr", string> = { stdout: "", stderr: "" };
  readonly #reading: Promise<unknown>;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.pid = child.pid;
    this.status = child.status.then((status) => {
      this.ended = true;
      return status;
    });
    this.#reading = Promise.all([this.#collect("stdout"), this.#collect("stderr")]);
  }

  get stdoutSoFar(): string {
    return this.#output.stdout;
  }

  get stderrSoFar(): string {
    return this.#output.stderr;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the end of the process and of its output. */
  async finished(): Promise<Finished> {
    const { code } = await this.status;
    await this.#reading;
    return { code, ...this.#output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ended) {
      try {
        this.#child.kill("SIGKILL");
      } catch (error) {
        // It ended between the check and the kill.
        if (!(error instanceof TypeError)) throw error;
      }
    }
    await this.finished();
  }

  async #collect(name: "stdout" | "stderr"): Promise<void> {
    for await (const text of this.#child[name].pipeThrough(new TextDecoderStream())) {
      this.#output[name] += text;
    }
  }
}

/** Counts a zombie as ended: its parent is another process. */
export async function hasEnded(pid: number): Promise<boolean> {
  const { stdout } = await new Deno.Command("ps", { args: ["-p", String(pid), "-o", "stat="] }).output();
  const state = new TextDecoder().decode(stdout).trim();
  return state === "" || state.startsWith("Z");
}

const UNTIL_LIMIT_MS = 20_000;

/** A subscriber of `events.socket`, which keeps its events. */
export class EventsReader implements Disposable {
  readonly lines: string[] = [];
  readonly #conn: Deno.UnixConn;
  #rest = "";

  private constructor(conn: Deno.UnixConn) {
    this.#conn = conn;
  }

  static async connect(eventsSocket: string): Promise<EventsReader> {
    return new EventsReader(await Deno.connect({ transport: "unix", path: eventsSocket }));
  }

  static over(conn: Deno.UnixConn): EventsReader {
    return new EventsReader(conn);
  }

  /** Reads to an event for which `found` is true, and returns all events so far. */
  async until(found: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>[]> {
    // Without the event the test must fail, and not hang: closing ends the read.
    const timer = setTimeout(() => this.#conn.close(), UNTIL_LIMIT_MS);
    try {
      return await this.#until(found);
    } catch (cause) {
      throw new Error(`the event did not come; there were: ${this.lines.join("\n")}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  async #until(found: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>[]> {
    let seen = 0;
    while (true) {
      while (seen < this.lines.length) {
        if (found(JSON.parse(this.lines[seen++]!))) {
          return this.lines.slice(0, seen).map((line) => JSON.parse(line));
        }
      }
      assert(await this.#readSome(), "the stream ended early");
    }
  }

  /** Reads to the end of the stream, and returns an unfinished last line. */
  async toEnd(): Promise<string> {
    while (await this.#readSome());
    return this.#rest;
  }

  [Symbol.dispose](): void {
    closeQuietly(this.#conn);
  }

  async #readSome(): Promise<boolean> {
    const buffer = new Uint8Array(64 * 1024);
    const count = await this.#conn.read(buffer);
    if (count === null) return false;
    const parts = (this.#rest + new TextDecoder().decode(buffer.subarray(0, count))).split("\n");
    this.#rest = parts.pop()!;
    this.lines.push(...parts);
    return true;
  }
}

/** Polls until `condition` holds, for conditions outside this process. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  { limitMs = 20_000 }: { readonly limitMs?: number } = {},
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`still not: ${what}`);
    await pause(20);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
