/** An embedded engine for one test, in this process, with a small client. */
import { startEmbeddedEngine } from "../../../src/embedded_engine/embedded_engine.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import type { Clock } from "../../../src/platform/clock.ts";
import { APEX_COMMAND } from "../daemons/apex_process.ts";
import { TempDir } from "../temp_dir.ts";

export interface RecordedEvent {
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

export class TestEngine implements AsyncDisposable {
  readonly socketPath: string;
  readonly dir: string;
  /** Resolves when the engine has ended by itself. */
  readonly closed: Promise<unknown>;
  readonly #end: () => PromiseLike<unknown>;
  readonly #temp: TempDir;
  readonly #client: Deno.HttpClient;

  private constructor(
    temp: TempDir,
    { closed, end }: { closed: Promise<unknown>; end: () => PromiseLike<unknown> },
  ) {
    this.#temp = temp;
    this.closed = closed;
    this.#end = end;
    this.dir = temp.path;
    this.socketPath = temp.join("e.sock");
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: this.socketPath } });
  }

  static async start(options: { clock?: Clock; idleExitMs?: number } = {}): Promise<TestEngine> {
    const temp = await TempDir.make();
    const engine = await startEmbeddedEngine({
      dir: temp.join("e"),
      socketPath: temp.join("e.sock"),
      ...options,
    });
    await nameTestImage(temp.join("e.sock"));
    return new TestEngine(temp, { closed: engine.closed, end: () => engine[Symbol.asyncDispose]() });
  }

  fetch(
    method: string,
    path: string,
    options: { body?: string; signal?: AbortSignal } = {},
  ): Promise<Response> {
    // Deno resolves the host even for a Unix socket, on threads that file operations need too, so it must be `localhost`.
    return fetch(`http://localhost${path}`, {
      method,
      client: this.#client,
      ...options,
      ...options.body !== undefined && { headers: { "Content-Type": "application/json" } },
    });
  }

  /** Returns the status and the body of a reply. A JSON body is parsed. */
  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const response = await this.fetch(method, path, body === undefined ? {} : { body: JSON.stringify(body) });
    const text = await response.text();
    return {
      status: response.status,
      body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text,
    };
  }

  /** Creates a container that runs `script` in a shell, and returns its id. */
  async create(
    script: string,
    options: { name?: string; config?: Record<string, unknown> } = {},
  ): Promise<string> {
    const query = options.name === undefined ? "" : `?name=${options.name}`;
    const { status, body } = await this.call("POST", `/containers/create${query}`, {
      Image: "busybox:local",
      Cmd: ["sh", "-c", script],
      ...options.config,
    });
    if (status !== 201) throw new Error(`create: ${status} ${JSON.stringify(body)}`);
    return (body as { Id: string }).Id;
  }

  /** Creates a container and starts it. */
  async run(
    script: string,
    options: { name?: string; config?: Record<string, unknown> } = {},
  ): Promise<string> {
    const id = await this.create(script, options);
    const { status, body } = await this.call("POST", `/containers/${id}/start`);
    if (status !== 204) throw new Error(`start: ${status} ${JSON.stringify(body)}`);
    return id;
  }

  async inspect(id: string): Promise<{ State: Record<string, unknown> } & Record<string, unknown>> {
    return (await this.call("GET", `/containers/${id}/json`)).body as never;
  }

  async wait(id: string, condition = "not-running"): Promise<number> {
    const { body } = await this.call("POST", `/containers/${id}/wait?condition=${condition}`);
    return (body as { StatusCode: number }).StatusCode;
  }

  /** Returns the log, as one text per stream. */
  async logs(id: string, query = "stdout=1&stderr=1"): Promise<{ stdout: string; stderr: string }> {
    const response = await this.fetch("GET", `/containers/${id}/logs?${query}`);
    return unframe(new Uint8Array(await response.arrayBuffer()));
  }

  /** Returns the events that the engine remembers, without those of health checks unless `noise` is set. */
  async events(options: { noise?: boolean } = {}): Promise<RecordedEvent[]> {
    // The stream ends at `until`. It is a moment ahead, because the times of events may be slightly ahead of this clock.
    const until = (Date.now() / 1_000 + 0.01).toFixed(3);
    const response = await this.fetch("GET", `/events?since=0&until=${until}`);
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    const events = lines.map((line) => JSON.parse(line) as RecordedEvent);
    return options.noise ? events : events.filter((event) => !event.Action.startsWith("exec_"));
  }

  /** Follows `/events`, and returns the first event that matches. */
  async until(matches: (event: RecordedEvent) => boolean): Promise<RecordedEvent> {
    for await (const event of this.follow()) if (matches(event)) return event;
    throw new Error("the event stream ended");
  }

  async *follow(query = "since=0"): AsyncGenerator<RecordedEvent> {
    const over = new AbortController();
    const response = await this.fetch("GET", `/events?${query}`, { signal: over.signal });
    let rest = "";
    try {
      for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) yield JSON.parse(line);
      }
    } finally {
      over.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    await this.#end();
    await this.#temp[Symbol.asyncDispose]();
  }
}

/** Tags the engine's image with the name that tests use on every engine. */
export async function nameTestImage(socketPath: string): Promise<void> {
  using client = new EngineClient({ socketPath });
  const query = { repo: "busybox", tag: "local" };
  await (await client.request("POST", "/images/busybox/tag", { query })).body?.cancel();
}

/** Starts `apex engine` at `dir/e.sock`. The caller ends it. */
export function engineProcess(dir: string): Deno.ChildProcess {
  const [program = "", ...args] = APEX_COMMAND;
  return new Deno.Command(program, {
    args: [...args, "engine", "--dir", `${dir}/e`, "--listen", `${dir}/e.sock`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

function unframe(bytes: Uint8Array): { stdout: string; stderr: string } {
  const texts = { stdout: "", stderr: "" };
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length;) {
    const end = at + 8 + view.getUint32(at + 4);
    texts[bytes[at] === 2 ? "stderr" : "stdout"] += new TextDecoder().decode(bytes.subarray(at + 8, end));
    at = end;
  }
  return texts;
}
