/** A daemon on an engine, terminals in which its sessions are used, and a subscriber of its events. */
import { assertEquals } from "@std/assert";
import { request } from "../../../src/client/control_exchange.ts";
import { attachSession, type SessionAttachment } from "../../../src/client/session_attachment.ts";
import type { SessionResult } from "../../../src/protocol/session_operations.ts";
import { APEX_COMMAND, ApexHome, ApexProcess, EventsReader, eventually } from "../daemons/apex_process.ts";
import { ContainerDriver } from "../engines/container_driver.ts";
import { startDocker } from "../engines/docker_engine.ts";
import { startPodman } from "../engines/podman_engine.ts";
import { within } from "../within.ts";
import { type TestTerminal, Tmux } from "./tmux.ts";

export type SessionEngine = "embedded" | keyof typeof START;

const START = { docker: startDocker, podman: startPodman };

/** The prompts of the shell in a session, and of the shell outside. */
const INSIDE = "inside> ";
const OUTSIDE = "outside> ";

/** A line with the prompt only: the line that was typed contains the prompt, too. */
const AT_PROMPT = /^inside>$/m;

export class SessionRig implements AsyncDisposable {
  readonly home: ApexHome;
  readonly engine: ContainerDriver;
  /** The default image of sessions. */
  readonly image: string;
  readonly #tmux: Tmux;
  readonly #daemonArgs: readonly string[];
  readonly #attachArgs: readonly string[];
  readonly #path: string;
  readonly #owned: AsyncDisposableStack;
  #daemon: ApexProcess;
  #fences = 0;

  private constructor(parts: {
    home: ApexHome;
    engine: ContainerDriver;
    image: string;
    tmux: Tmux;
    daemonArgs: readonly string[];
    attachArgs: readonly string[];
    daemon: ApexProcess;
    path: string;
    owned: AsyncDisposableStack;
  }) {
    this.home = parts.home;
    this.engine = parts.engine;
    this.image = parts.image;
    this.#tmux = parts.tmux;
    this.#daemonArgs = parts.daemonArgs;
    this.#attachArgs = parts.attachArgs;
    this.#daemon = parts.daemon;
    this.#path = parts.path;
    this.#owned = parts.owned;
    this.#owned.defer(() => this.#daemon[Symbol.asyncDispose]());
  }

  static async start(kind: SessionEngine, settings = ""): Promise<SessionRig> {
    await using stack = new AsyncDisposableStack();
    const real = kind === "embedded" ? undefined : stack.use(await START[kind]());
    const image = real !== undefined && "imageId" in real ? real.imageId : "busybox:local";
    const home = stack.use(await ApexHome.create());
    await home.configure(
      `[session]\nimage = "${image}"\ncommand = ["sh"]\nkill_grace = "1s"\n${settings}`,
    );
    const daemonArgs = ["--engine", real === undefined ? "embedded" : `unix://${real.socketPath}`];
    const daemon = await home.startDaemon(daemonArgs);
    const path = await pathWithApex(home);
    const tmux = stack.use(new Tmux(home.dir, { ...home.env, PATH: path, PS1: OUTSIDE }));
    const engine = stack.use(new ContainerDriver(real?.socketPath ?? home.engineSocket, { image }));
    const attachArgs = ["-e", `PS1=${INSIDE}`, ...(real === undefined ? [] : ["--network", "none"])];
    return new SessionRig({
      home,
      engine,
      image,
      tmux,
      daemonArgs,
      attachArgs,
      daemon,
      path,
      owned: stack.move(),
    });
  }

  get daemonPid(): number {
    return this.#daemon.pid;
  }

  /** Opens a terminal, and waits for the prompt of its shell. */
  async terminal(size?: { readonly columns: number; readonly rows: number }): Promise<TestTerminal> {
    const terminal = await this.#tmux.open(size);
    await terminal.until(OUTSIDE.trim());
    return terminal;
  }

  /** Returns the line to type for an attach. `more` are further arguments, as shell words. */
  attachLine(name: string, more = ""): string {
    return `apex attach ${this.#shellArgs()} ${more} ${name}; echo "status=$?"`;
  }

  #shellArgs(): string {
    return this.#attachArgs.map((word) => `'${word}'`).join(" ");
  }

  /** Attaches in a terminal, and waits for the prompt of the session's shell. */
  async attach(terminal: TestTerminal, name: string, more = ""): Promise<void> {
    // Earlier output contains prompts, too.
    await terminal.type("clear");
    await terminal.until(/^outside>$/);
    await terminal.type(`clear; ${this.attachLine(name, more)}`);
    await terminal.until(AT_PROMPT);
  }

  /** Runs `apex attach` without a terminal, to its end. */
  attachPiped(args: readonly string[]): ReturnType<ApexHome["apex"]> {
    return this.home.apex(["attach", ...this.#attachArgs, ...args]);
  }

  spawnAttach(args: readonly string[], wrap: readonly string[] = []): ApexProcess {
    return this.home.spawn(["attach", ...this.#attachArgs, ...args], { wrap });
  }

  /** Runs a shell line in which `$ARGS` stands for the arguments of `apex attach` that this engine needs. */
  pipe(line: string): ApexProcess {
    const args = ["-c", line.replace("$ARGS", this.#shellArgs())];
    const env = { ...this.home.env, PATH: this.#path };
    const options = { args, env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
    return new ApexProcess(new Deno.Command("sh", options).spawn());
  }

  /** Attaches in this process. */
  async attachOver(name: string, cmd: readonly string[]): Promise<LeanClient> {
    const params = { name, cmd: [...cmd], columns: 80, rows: 24 };
    return new LeanClient(await attachSession(this.home.controlSocket, params));
  }

  async list(): Promise<SessionResult[]> {
    return (await request(this.home.controlSocket, "sessions.list", {})).sessions;
  }

  async session(name: string): Promise<SessionResult | undefined> {
    return (await this.list()).find((session) => session.name === name);
  }

  async killDaemon(): Promise<void> {
    this.#daemon.kill("SIGKILL");
    await this.#daemon.finished();
  }

  async stopDaemon(): Promise<void> {
    this.#daemon.kill("SIGTERM");
    await this.#daemon.finished();
  }

  async startDaemon(): Promise<void> {
    this.#daemon = await this.home.startDaemon(this.#daemonArgs);
  }

  async events(): Promise<EventsReader> {
    const events = await EventsReader.connect(this.home.eventsSocket);
    // Events that are published after this reply are sent to the reader.
    await request(this.home.controlSocket, "status", {});
    return events;
  }

  /** Returns the session events so far, without `session.`. Another container is created as a fence, and read up to. */
  async sessionEvents(events: EventsReader): Promise<string[]> {
    const name = `fence-${this.#fences++}`;
    const id = await this.engine.create({ name, HostConfig: { NetworkMode: "none" } });
    const all = await events.until(({ type, containerId }) =>
      type === "container.created" && containerId === id
    );
    const ofSessions = all.filter(({ type }) => String(type).startsWith("session."));
    for (const event of ofSessions) assertEquals(event, { type: event.type });
    return ofSessions.map(({ type }) => String(type).slice("session.".length));
  }

  /** Returns the names of the engine's session containers. */
  async containers(): Promise<string[]> {
    const containers = await this.engine.client.listContainers();
    return containers.filter(({ Labels }) => Labels?.["apex.session"] !== undefined)
      .map(({ Names }) => Names![0]!);
  }

  /** Waits until only these sessions have containers. */
  async untilLeft(names: readonly string[]): Promise<void> {
    const expected = names.map((name) => `/apex-session-${name}`).join();
    await eventually(
      async () => (await this.containers()).sort().join() === expected,
      `only ${expected || "nothing"} remains`,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

/** A client of a session that has no terminal. */
export class LeanClient implements Disposable {
  readonly #session: SessionAttachment;

  constructor(session: SessionAttachment) {
    this.#session = session;
  }

  /** Types a line, waits for its echo, and returns how long that took. */
  async echoMs(line: string): Promise<number> {
    const startMs = performance.now();
    await this.#session.input(new TextEncoder().encode(`${line}\n`));
    let output = "";
    while (!output.includes(line)) {
      const message = await within(ECHO_WITHIN_MS, `the echo of ${line}`, this.#session.next());
      if (message.kind !== "output") throw new Error(`the session sent ${JSON.stringify(message)}`);
      output += new TextDecoder().decode(message.bytes);
    }
    return performance.now() - startMs;
  }

  /** Reads and drops output until the connection ends. */
  async drain(): Promise<void> {
    while ((await this.#session.next()).kind === "output");
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

const ECHO_WITHIN_MS = 20_000;

/** Returns a `PATH` that starts with a directory in which `apex` is the program under test. */
async function pathWithApex({ dir }: ApexHome): Promise<string> {
  await Deno.mkdir(`${dir}/bin`);
  const words = APEX_COMMAND.map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(`${dir}/bin/apex`, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  return `${dir}/bin:${Deno.env.get("PATH")}`;
}
