/**
 * The real program in processes of its own: `$APEX_BIN` where that is set (the compiled binary, in CI), else from source.
 * Each daemon has directories of its own, and everything that was started here is ended here, by its own pid.
 */
import { assert } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { request } from "../../../src/client/control_exchange.ts";
import { readLockHolder } from "../../../src/embedded_engine/engine_lock.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { closeQuietly, isListenedOn } from "../../../src/platform/unix_socket.ts";
import { nameTestImage } from "../engines/embedded_engine.ts";

/** The command that runs apex, to which arguments are added. */
export const APEX_COMMAND: readonly string[] = Deno.env.get("APEX_BIN")
  ? [Deno.env.get("APEX_BIN")!]
  : [Deno.execPath(), "run", "-A", "--quiet", fromFileUrl(new URL("../../../main.ts", import.meta.url))];

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Directories in which one daemon, its clients and its embedded engine live. */
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

  /** Writes the configuration of its daemons, and of its clients. @param toml all of it */
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
   * Starts a daemon and waits until it follows its engine: what happens before that is its baseline, and no event.
   * With `engineIsThere: false` it only has to answer.
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

  /** Ends what was started here and is not a test's own, a client's daemon and the embedded engine; removes the directories. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endDaemon();
    await this.endEngine();
    await Deno.remove(this.dir, { recursive: true });
  }

  /** One that a client started outlives it. */
  async #endDaemon(): Promise<void> {
    try {
      Deno.kill((await request(this.controlSocket, "status", {})).pid, "SIGTERM");
    } catch (error) {
      if (error instanceof ApexError && error.code === "no_daemon") return;
      throw error;
    }
    await eventually(async () => !await isListenedOn(this.controlSocket), "the daemon has ended");
  }

  /** Ends the embedded engine, which outlives its daemon by design; its pid stands in its lock file. */
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
    // It ends its containers before itself, and has files open in here until then.
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

/** A process of apex that is still running. */
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

  /** Waits for its end, and all of its output. */
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
        // It ended between the look and the kill.
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

/** Also when nobody has asked for its status yet: it was another process's child. */
export async function hasEnded(pid: number): Promise<boolean> {
  const { stdout } = await new Deno.Command("ps", { args: ["-p", String(pid), "-o", "stat="] }).output();
  const state = new TextDecoder().decode(stdout).trim();
  return state === "" || state.startsWith("Z");
}

const UNTIL_LIMIT_MS = 20_000;

/** A subscriber on `events.socket` that keeps what it has read. */
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

  /** Reads until an event of which `found` is true; it and all before it. */
  async until(found: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>[]> {
    // A stream that never tells it must fail the test rather than hang it; closing ends the read.
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

  /** Reads until the stream's end; what is left of an unfinished line. */
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

/** Looks again and again until `condition` holds: for what only the outside world can tell. */
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
