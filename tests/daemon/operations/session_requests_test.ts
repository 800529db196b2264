/** The operations `sessions.*` through a real control socket, on a container layer without an engine. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { request } from "../../../src/client/control_exchange.ts";
import { openStream } from "../../../src/client/control_stream.ts";
import { ControlServer } from "../../../src/daemon/control_socket/control_server.ts";
import { publishSessions } from "../../../src/daemon/events_socket/publish.ts";
import { SessionRequests } from "../../../src/daemon/operations/session_requests.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { encodeFrame, type Frame, frameJson } from "../../../src/protocol/frames.ts";
import { SessionPool } from "../../../src/sessions/session_pool.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { memoryLog } from "../../support/daemons/journaled_log.ts";
import { FakeContainers } from "../../support/sessions/fake_containers.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

const LIMIT_MS = 10_000;
const SIZE = { columns: 80, rows: 24 };

class Daemon implements AsyncDisposable {
  readonly engine = new FakeContainers();
  readonly socket: string;
  readonly published: string[] = [];
  readonly #parts: AsyncDisposableStack;
  readonly pool: SessionPool;
  /** Delivers events of the fake engine at once while it is true. */
  #delivering = true;
  #delivered: Promise<void> | undefined;

  private constructor(socket: string, parts: AsyncDisposableStack) {
    this.socket = socket;
    this.#parts = parts;
    const clock = systemClock;
    const logger = silentLogger;
    const storage = parts.use(openStorage({ path: ":memory:", clock, logger }));
    const log = parts.use(memoryLog({ clock }));
    this.pool = new SessionPool({
      containers: this.engine.asContainers(),
      terminals: this.engine.terminals,
      store: storage.sessions,
      clock,
      logger,
      config: { image: "img", scrollbackLines: 100, killGraceMs: 0, restore: { kind: "screen" } },
    });
    parts.use(publishSessions({ log, sessions: this.pool }));
    const append = log.append.bind(log);
    log.append = (event) => {
      this.published.push("session" in event ? `${event.type} ${event.session}` : event.type);
      return append(event);
    };
    const requests = new SessionRequests({ sessions: this.pool, clock, logger });
    parts.use(
      new ControlServer({
        listener: Deno.listen({ transport: "unix", path: socket }),
        handle: async (request) => {
          switch (request.op) {
            case "sessions.attach":
              return await requests.attach(request);
            case "sessions.list":
              return await requests.list();
            case "sessions.detach":
              return await requests.detach(request);
            case "sessions.kill":
              return await requests.kill(request);
            default:
              throw new Error(`unexpected request: ${request.op}`);
          }
        },
        barrier: () => Promise.resolve(),
        maxConnections: 16,
        clock,
        logger,
      }),
    );
    // Added last, so disposed first: its clients still receive the reason.
    parts.use(this.pool);
  }

  static async start(): Promise<Daemon> {
    await using parts = new AsyncDisposableStack();
    const dir = parts.use(await TempDir.make());
    const daemon = new Daemon(dir.join("s"), parts.move());
    daemon.engine.connect();
    daemon.#delivered = daemon.#deliver();
    await daemon.pool.ready();
    return daemon;
  }

  attach(name: string, more: Record<string, unknown> = {}): Promise<Attachment> {
    return Attachment.open(this.socket, { name, ...SIZE, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(LIMIT_MS, "the daemon's end", this.#parts.disposeAsync());
    this.#delivering = false;
    await this.#delivered;
  }

  async #deliver(): Promise<void> {
    while (this.#delivering) {
      while (this.engine.queued > 0) this.engine.deliver();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
}

/** The client's end of an attach. */
class Attachment implements Disposable {
  output = "";

  private constructor(readonly stream: Awaited<ReturnType<typeof openStream<"sessions.attach">>>) {}

  static async open(socket: string, params: { name: string } & typeof SIZE): Promise<Attachment> {
    return new Attachment(await openStream(socket, "sessions.attach", params, { timeoutMs: LIMIT_MS }));
  }

  readonly #frames = (): AsyncIterator<Frame> => this.stream.frames[Symbol.asyncIterator]();
  #iterator: AsyncIterator<Frame> | undefined;

  /** Reads until the output contains the text, or to the last frame, which it returns. */
  async read(text?: string): Promise<[string, unknown] | undefined> {
    this.#iterator ??= this.#frames();
    while (text === undefined || !this.output.includes(text)) {
      const { done, value } = await within(LIMIT_MS, "a frame", this.#iterator.next());
      if (done) throw new Error(`the stream ended; so far: ${this.output}`);
      if (value.kind === "data") this.output += new TextDecoder().decode(value.payload);
      else if (value.kind !== "ping") return [value.kind, frameJson(value)];
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    this.stream[Symbol.dispose]();
  }
}

Deno.test("sessions.attach creates a session, carries its terminal both ways, and sends the command's end", async () => {
  await using daemon = await Daemon.start();
  using client = await daemon.attach("dev", { pid: 4711 });
  const { containerId } = client.stream.result;
  assertEquals(client.stream.result, { name: "dev", created: true, containerId });
  daemon.engine.print(containerId, "$ ");
  await client.read("$ ");
  await client.stream.send(encodeFrame("data", new TextEncoder().encode("exit 3\n")));
  while (daemon.engine.typedInto(containerId) !== "exit 3\n") {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const { sessions } = await request(daemon.socket, "sessions.list", {});
  assertEquals(sessions.map(({ name, status, attachedPid }) => [name, status, attachedPid]), [
    ["dev", "attached", 4711],
  ]);
  const { createdAt, lastAttachedAt, expiresAt } = sessions[0]!;
  for (const time of [createdAt, lastAttachedAt!]) assertEquals(time, new Date(time).toISOString());
  assert(lastAttachedAt! >= createdAt);
  assertEquals(expiresAt, undefined);
  daemon.engine.print(containerId, "bye");
  daemon.engine.exit(containerId, 3);
  assertEquals(await client.read(), ["exit", { reason: "exit", exitCode: 3 }]);
  assertStringIncludes(client.output, "$ bye");
  assertEquals(daemon.published, [
    "session.created dev",
    "session.attached dev",
    "session.removed dev",
  ]);
});

Deno.test("sessions.attach refuses an invalid name, a busy session, a missing session that must exist, and an invalid restore mode", async () => {
  await using daemon = await Daemon.start();
  using _client = await daemon.attach("dev", { pid: 4711 });
  const cases: [string, Record<string, unknown>, string, string][] = [
    ["no name", {}, "usage", "invalid session name"],
    ["", {}, "usage", 'invalid session name "": use 1 to 64 letters'],
    ["x".repeat(9_000), {}, "usage", `invalid session name "${"x".repeat(256)}…"`],
    ["dev", { restore: "lines=x" }, "usage", "lines=x"],
    ["dev", {}, "busy", "already attached (pid 4711); use --force"],
    ["other", { mustExist: true }, "not_found", 'cannot attach to session "other": no such session'],
  ];
  for (const [name, more, code, message] of cases) {
    const error = await assertRejects(() => daemon.attach(name, more), ApexError);
    assertEquals(error.code, code);
    assertStringIncludes(error.message, message);
  }
});

Deno.test("sessions.detach and sessions.kill process the valid names, and report the rest", async () => {
  await using daemon = await Daemon.start();
  using one = await daemon.attach("one");
  using two = await daemon.attach("two");
  assertEquals(await request(daemon.socket, "sessions.detach", { names: ["none", "one"] }), {
    done: ["one"],
    failed: [{
      name: "none",
      code: "not_found",
      message: 'cannot detach session "none": no such session (see: apex list)',
    }],
  });
  assertEquals(await one.read(), ["detach", { reason: "requested" }]);
  const again = await request(daemon.socket, "sessions.detach", { names: ["one"] });
  assertEquals(again.failed.map(({ code }) => code), ["conflict"]);
  assertEquals((await request(daemon.socket, "sessions.detach", {})).done, ["two"]);
  assertEquals(await two.read(), ["detach", { reason: "requested" }]);
  const killed = await request(daemon.socket, "sessions.kill", { names: ["one", "none", "two"] });
  assertEquals([killed.done.sort(), killed.failed.map(({ name }) => name)], [["one", "two"], ["none"]]);
  assertEquals(await request(daemon.socket, "sessions.list", {}), { sessions: [] });
});

Deno.test("a client of a session that hangs up is detached, and can attach again", async () => {
  await using daemon = await Daemon.start();
  const client = await daemon.attach("dev");
  const { containerId } = client.stream.result;
  daemon.engine.print(containerId, "before");
  await client.read("before");
  const detached = Promise.withResolvers<void>();
  daemon.pool.on("session:detached", () => detached.resolve());
  client[Symbol.dispose]();
  await within(LIMIT_MS, "the detach", detached.promise);
  using again = await daemon.attach("dev");
  assertEquals(again.stream.result, { name: "dev", created: false, containerId });
  await again.read("before");
});

Deno.test("a client of a session that sends an invalid frame receives the reason, and can attach again", async () => {
  await using daemon = await Daemon.start();
  const cases: readonly (readonly [readonly number[], string])[] = [
    [[0x63, 1, 0, 0, 0, 0x7a], "no frame is of kind 99"],
    [[1, 0xff, 0xff, 0xff, 0xff], "a frame of 4294967295 bytes is longer than any (65536)"],
    [[7, 3, 0, 0, 0, 1, 2, 3], "a resize frame must have 4 bytes, not 3"],
    [[2, 0, 0, 0, 0], "a client cannot send a stderr frame"],
  ];
  for (const [sent, error] of cases) {
    using client = await daemon.attach("dev");
    await client.stream.send(new Uint8Array(sent));
    assertEquals(await client.read(), ["detach", { reason: "protocol", error }]);
    assertEquals(await within(LIMIT_MS, "the end", client.stream.next()), null);
  }
});

Deno.test("the end of the daemon detaches the clients of sessions, and leaves the sessions", async () => {
  const daemon = await Daemon.start();
  using client = await daemon.attach("dev");
  const { containerId } = client.stream.result;
  const ended = daemon[Symbol.asyncDispose]();
  assertEquals(await client.read(), ["detach", { reason: "shutdown" }]);
  await ended;
  assertEquals(daemon.engine.containers.get(containerId)?.state, "running");
  assertEquals(daemon.published.at(-1), "session.detached dev");
});
