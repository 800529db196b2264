import { request } from "../../../src/client/control_exchange.ts";
import { openStream } from "../../../src/client/control_stream.ts";
import { runDaemon } from "../../../src/daemon/daemon.ts";
import type { Config } from "../../../src/platform/config.ts";
import type { Paths } from "../../../src/platform/directories.ts";
import { type Frame, frameJson } from "../../../src/protocol/frames.ts";
import type {
  ControlOp,
  ControlRequestOf,
  ControlResultOf,
  FrameOp,
} from "../../../src/protocol/operations.ts";
import type { TaskResult } from "../../../src/protocol/task_operations.ts";
import { TestEngine } from "../engines/embedded_engine.ts";
import { TempDir } from "../temp_dir.ts";
import { within } from "../within.ts";
import { EventsReader } from "./apex_process.ts";

type Params<Op extends ControlOp> = Omit<ControlRequestOf<Op>, "v" | "op">;

/** The frames of a stream, to its end. */
export interface Streamed {
  readonly kinds: string[];
  readonly stdout: string;
  readonly stderr: string;
  /** The last JSON frame of each kind. */
  readonly payloads: Record<string, Record<string, unknown>>;
}

const LIMIT_MS = 30_000;

/** A daemon in this process, with its own directories, on the engine of a test. */
export class TestDaemon implements AsyncDisposable {
  readonly paths: Paths;
  readonly #dir: string;
  readonly #stop = new AbortController();
  readonly #parts: AsyncDisposableStack;
  readonly #running: Promise<void>;

  private constructor(dir: string, { config, parts }: { config: Config; parts: AsyncDisposableStack }) {
    this.#dir = dir;
    this.#parts = parts;
    this.paths = pathsIn(dir);
    const abort = this.#stop.signal;
    this.#running = runDaemon({ paths: this.paths, config, abort, selfCommand: [], flags: [] });
  }

  /** Resolves when the daemon follows the engine. */
  static async start(engineSocket: string, config: Partial<Config> = {}): Promise<TestDaemon> {
    await using parts = new AsyncDisposableStack();
    const dir = parts.use(await TempDir.make()).path;
    const engine = `unix://${engineSocket}`;
    const daemon = new TestDaemon(dir, { config: { ...CONFIG, engine, ...config }, parts: parts.move() });
    return await daemon.#ready();
  }

  /** Ends the daemon, and starts another one with the same directories. */
  async restart(engineSocket: string): Promise<TestDaemon> {
    await this.#end();
    const config = { ...CONFIG, engine: `unix://${engineSocket}` };
    return await new TestDaemon(this.#dir, { config, parts: this.#parts.move() }).#ready();
  }

  request<Op extends ControlOp>(op: Op, params: Params<Op>): Promise<ControlResultOf<Op>> {
    return request(this.paths.controlSocket, op, params as never, { timeoutMs: LIMIT_MS });
  }

  events(): Promise<EventsReader> {
    return EventsReader.connect(this.paths.eventsSocket);
  }

  /** Runs a stream to its end. */
  async stream<Op extends FrameOp>(op: Op, params: Params<Op>): Promise<Streamed> {
    using stream = await StreamReader.open(this, op, params);
    return await stream.end();
  }

  /** Starts a task and remains its client. */
  runTask(task: Params<"tasks.run">["task"]): Promise<StreamReader> {
    return StreamReader.open(this, "tasks.run", { task: { network: "none", ...task } });
  }

  /** Runs a task, and returns everything that its client receives. */
  async run(task: Params<"tasks.run">["task"]): Promise<Streamed & { readonly task: TaskResult }> {
    using client = await this.runTask(task);
    const streamed = await client.end();
    return { ...streamed, task: streamed.payloads.exit?.task as TaskResult };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await this.#parts.disposeAsync();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    await within(LIMIT_MS, "the daemon's end", this.#running);
  }

  async #ready(): Promise<this> {
    await within(LIMIT_MS, "the daemon's readiness", Promise.race([this.#untilReady(), this.#running]));
    return this;
  }

  async #untilReady(): Promise<void> {
    for (let isReady = false; !isReady;) {
      try {
        isReady = (await this.request("status", {})).engine.state === "connected";
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "no_daemon")) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** A daemon that follows an embedded engine of its own. */
export interface DaemonOnEmbeddedEngine extends AsyncDisposable {
  readonly engine: TestEngine;
  readonly daemon: TestDaemon;
}

export async function startOnEmbeddedEngine(config: Partial<Config> = {}): Promise<DaemonOnEmbeddedEngine> {
  await using parts = new AsyncDisposableStack();
  const engine = parts.use(await TestEngine.start());
  const daemon = parts.use(await TestDaemon.start(engine.socketPath, config));
  const owned = parts.move();
  return { engine, daemon, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A client of one stream. It keeps the frames. */
export class StreamReader implements Disposable {
  readonly #stream: Disposable;
  readonly #frames: AsyncIterator<Frame>;
  /** The kinds of the frames. A row of the same kind counts once. */
  readonly #kinds: string[] = [];
  readonly #texts = { data: "", stderr: "" };
  readonly #decoders = { data: new TextDecoder(), stderr: new TextDecoder() };
  readonly #payloads: Record<string, Record<string, unknown>> = {};

  private constructor(stream: Disposable & { readonly frames: AsyncIterable<Frame> }) {
    this.#stream = stream;
    this.#frames = stream.frames[Symbol.asyncIterator]();
  }

  static async open<Op extends FrameOp>(
    { paths }: TestDaemon,
    op: Op,
    params: Params<Op>,
  ): Promise<StreamReader> {
    const options = { timeoutMs: LIMIT_MS };
    return new StreamReader(await openStream(paths.controlSocket, op, params as never, options));
  }

  get stdout(): string {
    return this.#texts.data;
  }

  /** Reads to a frame of this kind. */
  async untilKind(kind: string): Promise<void> {
    while (!this.#kinds.includes(kind)) await this.#mustRead(`a frame "${kind}"`);
  }

  /** Reads until standard output contains the text. */
  async untilSaid(text: string): Promise<void> {
    while (!this.stdout.includes(text)) await this.#mustRead(`"${text}"`);
  }

  /** Reads to the end, and returns all frames. */
  async end(): Promise<Streamed> {
    while (await this.#read("the end"));
    return { kinds: this.#kinds, stdout: this.stdout, stderr: this.#texts.stderr, payloads: this.#payloads };
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }

  async #mustRead(what: string): Promise<void> {
    if (await this.#read(what)) return;
    throw new Error(
      `the stream ended without ${what}, after: ${JSON.stringify([this.#kinds, this.#payloads])}`,
    );
  }

  async #read(what: string): Promise<boolean> {
    const { done, value: frame } = await within(LIMIT_MS, `${what} of a stream`, this.#frames.next());
    if (done) return false;
    const { kind, payload } = frame;
    if (kind !== this.#kinds.at(-1)) this.#kinds.push(kind);
    if (kind === "data" || kind === "stderr") {
      this.#texts[kind] += this.#decoders[kind].decode(payload, { stream: true });
    } else this.#payloads[kind] = frameJson(frame) as Record<string, unknown>;
    return true;
  }
}

const CONFIG: Config = {
  engine: "auto",
  engineSource: "a test",
  // The log of the daemon goes to stderr of this process.
  logLevel: "error",
  maxSubscribers: 1_000,
  maxControlConnections: 256,
  maxStreams: 4_096,
  image: "busybox:local",
  stopTimeoutSeconds: 2,
  daemonize: true,
  healthWatch: {},
  session: { image: "busybox:local", restore: "screen", scrollbackLines: 1_000, killGraceMs: 2_000 },
  journal: { isKept: true },
  keepOutput: { maxBytes: 1024 * 1024, maxTotalBytes: 64 * 1024 * 1024 },
};

function pathsIn(dir: string): Paths {
  return {
    runtimeDir: `${dir}/run`,
    runtimeDirIsChosen: false,
    controlSocket: `${dir}/run/apex.socket`,
    eventsSocket: `${dir}/run/events.socket`,
    engineSocket: `${dir}/run/engine.sock`,
    stateDir: `${dir}/state`,
    engineDir: `${dir}/engine`,
    configFile: `${dir}/config.toml`,
    configFileIsChosen: false,
  };
}
