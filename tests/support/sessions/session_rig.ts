/** A daemon on an engine, terminals in which people use its sessions, and what subscribers hear of that. */
import { assertEquals } from "@std/assert";
import { type AttachedSession, attachSession } from "../../../src/client/attached_session.ts";
import { request } from "../../../src/client/request.ts";
import type { SessionResult } from "../../../src/protocol/session_messages.ts";
import { APEX_COMMAND, ApexHome, ApexProcess, EventsReader, eventually } from "../daemons/apex_process.ts";
import { ContainerDriver } from "../engines/container_driver.ts";
import { startDocker } from "../engines/docker_engine.ts";
import { startPodman } from "../engines/podman_engine.ts";
import { within } from "../within.ts";
import { type TestTerminal, Tmux } from "./tmux.ts";

export type SessionEngine = "embedded" | keyof typeof START;

const START = { docker: startDocker, podman: startPodman };

/** The prompt of a session's shell; that of the shell outside is another. */
const INSIDE = "inside> ";
const OUTSIDE = "outside> ";

/** It stands in the line that was typed, too. */
const AT_PROMPT = /^inside>$/m;

export class SessionRig implements AsyncDisposable {
  readonly home: ApexHome;
  readonly engine: ContainerDriver;
  /** That sessions have by default. */
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

  /** A terminal with a shell that is ready. */
  async terminal(size?: { readonly columns: number; readonly rows: number }): Promise<TestTerminal> {
    const terminal = await this.#tmux.open(size);
    await terminal.until(OUTSIDE.trim());
    return terminal;
  }

  /** What is to be typed to attach there; `more` are further arguments, words for a shell. */
  attachLine(name: string, more = ""): string {
    return `apex attach ${this.#shellArgs()} ${more} ${name}; echo "status=$?"`;
  }

  #shellArgs(): string {
    return this.#attachArgs.map((word) => `'${word}'`).join(" ");
  }

  /** Attaches there, and waits for the shell inside. */
  async attach(terminal: TestTerminal, name: string, more = ""): Promise<void> {
    // What was there before has prompts, too.
    await terminal.type("clear");
    await terminal.until(/^outside>$/);
    await terminal.type(`clear; ${this.attachLine(name, more)}`);
    await terminal.until(AT_PROMPT);
  }

  /** `apex attach` without a terminal, to its end. */
  attachPiped(args: readonly string[]): ReturnType<ApexHome["apex"]> {
    return this.home.apex(["attach", ...this.#attachArgs, ...args]);
  }

  spawnAttach(args: readonly string[], wrap: readonly string[] = []): ApexProcess {
    return this.home.spawn(["attach", ...this.#attachArgs, ...args], { wrap });
  }

  /** Runs a line in a shell in which `apex attach $ARGS` has what this engine needs. */
  pipe(line: string): ApexProcess {
    const args = ["-c", line.replace("$ARGS", this.#shellArgs())];
    const env = { ...this.home.env, PATH: this.#path };
    const options = { args, env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
    return new ApexProcess(new Deno.Command("sh", options).spawn());
  }

  /** Attaches without a process of its own for the client. */
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
    // Whatever is told after this answer is told to that reader too.
    await request(this.home.controlSocket, "status", {});
    return events;
  }

  /** The session events so far, without `session.`: something later is made to happen, and read up to. */
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

  /** The containers of sessions that the engine has. */
  async containers(): Promise<string[]> {
    const containers = await this.engine.client.listContainers();
    return containers.filter(({ Labels }) => Labels?.["apex.session"] !== undefined)
      .map(({ Names }) => Names![0]!);
  }

  /** Waits until those sessions alone have containers. */
  async untilLeft(names: readonly string[]): Promise<void> {
    const expected = names.map((name) => `/apex-session-${name}`).join();
    await eventually(
      async () => (await this.containers()).sort().join() === expected,
      `only ${expected || "nothing"} is left`,
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#owned.disposeAsync();
  }
}

/** A client of a session that shows nothing. */
export class LeanClient implements Disposable {
  readonly #session: AttachedSession;

  constructor(session: AttachedSession) {
    this.#session = session;
  }

  /** Types a line and waits until it comes back; how long that took. */
  async echoMs(line: string): Promise<number> {
    const startMs = performance.now();
    await this.#session.input(new TextEncoder().encode(`${line}\n`));
    let said = "";
    while (!said.includes(line)) {
      const message = await within(ECHO_WITHIN_MS, `the echo of ${line}`, this.#session.next());
      if (message.kind !== "output") throw new Error(`the session said ${JSON.stringify(message)}`);
      said += new TextDecoder().decode(message.bytes);
    }
    return performance.now() - startMs;
  }

  /** Takes all output, until the connection's end. */
  async drain(): Promise<void> {
    while ((await this.#session.next()).kind === "output");
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}

const ECHO_WITHIN_MS = 20_000;

/** `PATH` with a directory before it in which `apex` is the program under test. */
async function pathWithApex({ dir }: ApexHome): Promise<string> {
  await Deno.mkdir(`${dir}/bin`);
  const words = APEX_COMMAND.map((word) => `'${word}'`).join(" ");
  await Deno.writeTextFile(`${dir}/bin/apex`, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  return `${dir}/bin:${Deno.env.get("PATH")}`;
}
