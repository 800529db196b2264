import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { EngineClient } from "../../src/engine/engine_client.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import {
  CHUNKED_HEAD,
  httpChunk,
  httpReply,
  type RawExchange,
  RawHttpServer,
} from "../support/engines/raw_http_server.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

const PONG = httpReply(200, "OK", { "Api-Version": "1.41" });
const VERSION = {
  Version: "20.10.24",
  ApiVersion: "1.41",
  Components: [{ Name: "Engine", Version: "20.10.24" }],
};

/** Answers the first requests of a client; passes all others to `rest`. */
function answering(rest: (exchange: RawExchange) => Promise<void> | void) {
  return (exchange: RawExchange) => {
    if (exchange.target === "/_ping") return exchange.write(PONG);
    if (exchange.target === "/v1.41/version") return exchange.write(httpReply(200, VERSION));
    return rest(exchange);
  };
}

Deno.test("EngineClient negotiates once, and prefixes requests with the negotiated version", async () => {
  await using temp = await TempDir.make();
  const asked: string[] = [];
  await using server = new RawHttpServer(temp.join("e.sock"), (exchange) => {
    asked.push(`${exchange.method} ${exchange.target}`);
    return answering((other) => other.write(httpReply(200, [])))(exchange);
  });
  using client = new EngineClient({ socketPath: server.socketPath });
  assertEquals(await client.listContainers(), []);
  assertEquals(await client.listContainers(), []);
  assertEquals(asked, ["GET /_ping", "GET /v1.41/containers/json?all=1", "GET /v1.41/containers/json?all=1"]);
  client.forget();
  await client.identify();
  await client.identify();
  assertEquals(asked.slice(3), ["GET /_ping", "GET /v1.41/version"]);
});

Deno.test("EngineClient.identify() distinguishes the engines", async () => {
  const cases = [
    [VERSION, "docker", "20.10.24"],
    [{ ...VERSION, Components: undefined }, "docker", "20.10.24"],
    [{ ...VERSION, Components: null, Platform: { Name: "Docker Engine - Community" } }, "docker", "20.10.24"],
    [{ ...VERSION, Platform: { Name: "apex embedded engine" } }, "embedded", "20.10.24"],
    [
      { ...VERSION, Version: "5.0.0", Components: [{ Name: "Podman Engine", Version: "5.0.1" }] },
      "podman",
      "5.0.1",
    ],
  ] as const;
  for (const [version, kind, said] of cases) {
    await using temp = await TempDir.make();
    await using server = new RawHttpServer(
      temp.join("e.sock"),
      (exchange) => exchange.write(exchange.target === "/_ping" ? PONG : httpReply(200, version)),
    );
    using client = new EngineClient({ socketPath: server.socketPath });
    assertEquals(await client.identify(), { kind, version: said, apiVersion: "1.41" });
  }
});

Deno.test("EngineClient errors have the status and the engine's own message", async () => {
  const cases = [
    [404, { message: "No such container: x" }, "not_found", "No such container: x"],
    [409, { message: "name in use" }, "conflict", "name in use"],
    [500, { cause: "disk", message: "no space" }, "engine", "no space"],
    // Podman reports these conflicts with another status than 409.
    [500, { message: "that name is already in use" }, "conflict", "that name is already in use"],
    [500, { message: "container state improper" }, "conflict", "container state improper"],
    [502, "<html>bad gateway</html>", "engine", "<html>bad gateway</html>"],
    [400, "", "engine", "no explanation"],
    [503, "y".repeat(100_000), "engine", "its message cannot be read"],
  ] as const;
  await using temp = await TempDir.make();
  let reply = "";
  await using server = new RawHttpServer(temp.join("e.sock"), answering((exchange) => exchange.write(reply)));
  using client = new EngineClient({ socketPath: server.socketPath });
  for (const [status, body, code, words] of cases) {
    reply = httpReply(status, body);
    const error = await assertRejects(() => client.inspectContainer("x"), EngineError);
    assertEquals([error.status, error.code], [status, code]);
    assertStringIncludes(error.engineMessage ?? "", words);
    assertStringIncludes(error.message, `the engine refused GET /containers/x/json: ${words}`);
  }
});

Deno.test("EngineClient.request() returns 2xx and 304, and sends query, headers and body", async () => {
  await using temp = await TempDir.make();
  const seen: { method: string; target: string; body: string }[] = [];
  await using server = new RawHttpServer(
    temp.join("e.sock"),
    answering(({ method, target, body, write }) => {
      seen.push({ method, target, body });
      return write(
        target.endsWith("/start") ? "HTTP/1.1 304 Not Modified\r\n\r\n" : httpReply(201, { Id: "x" }),
      );
    }),
  );
  using client = new EngineClient({ socketPath: server.socketPath });
  const created = await client.request("POST", "/containers/create", {
    query: { name: "a b", skipped: undefined, filters: { label: ["k=v"] } },
    body: { Image: "i" },
  });
  assertEquals([created.status, await created.json()], [201, { Id: "x" }]);
  assertEquals((await client.request("POST", "/containers/x/start")).status, 304);
  assertEquals(seen[0], {
    method: "POST",
    target: "/v1.41/containers/create?name=a+b&filters=%7B%22label%22%3A%5B%22k%3Dv%22%5D%7D",
    body: '{"Image":"i"}',
  });
});

Deno.test("EngineClient repeats an idempotent request once on a new connection when the old one was stale", async () => {
  await using temp = await TempDir.make();
  const lists: number[] = [];
  await using server = new RawHttpServer(
    temp.join("e.sock"),
    answering((exchange) => {
      lists.push(exchange.connection);
      // Later requests on a connection find it closed, like the idle connections of engines.
      return exchange.request > 1 ? exchange.close() : exchange.write(httpReply(200, []));
    }),
  );
  using client = new EngineClient({ socketPath: server.socketPath });
  assertEquals(await client.listContainers(), []);
  assertEquals(lists.length, 2);
  assert(lists[0] !== lists[1]);
});

Deno.test("EngineClient gives up after one repetition, and never repeats a POST", async () => {
  await using temp = await TempDir.make();
  let requests = 0;
  await using server = new RawHttpServer(
    temp.join("e.sock"),
    answering((exchange) => {
      requests++;
      exchange.close();
    }),
  );
  using client = new EngineClient({ socketPath: server.socketPath });
  await client.ping();
  const error = await assertRejects(
    () => client.info(),
    EngineError,
    "broke the connection during GET /v1.41/info",
  );
  assertEquals(error.status, undefined);
  // Deno 2.9 itself may repeat a request that it could not send.
  const afterGet = requests;
  assert(afterGet >= 2 && afterGet <= 3, `${afterGet} requests`);
  await assertRejects(
    () => client.request("POST", "/containers/x/start"),
    EngineError,
    "broke the connection during POST",
  );
  assertEquals(requests - afterGet, 1);
});

Deno.test("EngineClient reports why it cannot connect, where, and the source of the path", async () => {
  await using temp = await TempDir.make();
  using absent = new EngineClient({ socketPath: temp.join("absent.sock"), source: "DOCKER_HOST" });
  const error = await assertRejects(() => absent.ping(), EngineError);
  assertEquals(
    error.message,
    `cannot reach the engine at ${temp.join("absent.sock")} (from DOCKER_HOST): ` +
      "no such socket; is the engine running?",
  );
  await Deno.writeTextFile(temp.join("dead.sock"), "");
  using dead = new EngineClient({ socketPath: temp.join("dead.sock") });
  await assertRejects(() => dead.listContainers(), EngineError, "connection refused; is the engine running?");
});

Deno.test("EngineClient rejects a peer that is not an engine, and an invalid reply", async () => {
  await using temp = await TempDir.make();
  let reply = httpReply(200, "hello");
  await using server = new RawHttpServer(
    temp.join("e.sock"),
    ({ target, write }) => write(target === "/_ping" && reply.includes("[]") ? PONG : reply),
  );
  using client = new EngineClient({ socketPath: server.socketPath });
  await assertRejects(() => client.info(), EngineError, "not a container engine");
  reply = httpReply(200, "[]");
  await assertRejects(() => client.info(), EngineError, "not what the Docker API defines");
  reply = httpReply(200, "{[]");
  await assertRejects(() => client.listContainers(), EngineError, "cannot be read");
});

Deno.test("EngineClient rejects when headers, a body or an error message do not arrive", async () => {
  await using temp = await TempDir.make();
  const clock = new FakeClock();
  const asked = { resolve: () => {} };
  await using server = new RawHttpServer(
    temp.join("e.sock"),
    answering(async ({ target, write }) => {
      if (target.includes("/inspect-body/")) await write(CHUNKED_HEAD + httpChunk('{"Id":'));
      if (target.includes("/inspect-error/")) await write("HTTP/1.1 500 No\r\nContent-Length: 40\r\n\r\n{");
      asked.resolve();
    }),
  );
  using client = new EngineClient({ socketPath: server.socketPath, clock });
  for (
    const [id, says] of [["headers", "did not reply to GET"], [
      "inspect-body",
      "did not reply",
    ]] as const
  ) {
    const ready = Promise.withResolvers<void>();
    asked.resolve = ready.resolve;
    const failing = assertRejects(() => client.inspectContainer(id), EngineError, says);
    await ready.promise;
    clock.advance(30_000);
    await failing;
  }
  const failing = assertRejects(() => client.inspectContainer("inspect-error"), EngineError, "status 500");
  let isOver = false;
  void failing.then(() => isOver = true);
  // The time limit of the error message begins with the status, which only its timer shows.
  while (!isOver) {
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("EngineClient can be aborted while it connects, waits for headers, and reads a stream", async () => {
  await using temp = await TempDir.make();
  const reached = Promise.withResolvers<void>();
  await using server = new RawHttpServer(
    temp.join("e.sock"),
    answering(async ({ target, write }) => {
      if (target.includes("/events")) await write(CHUNKED_HEAD);
      else reached.resolve();
    }),
  );
  using client = new EngineClient({ socketPath: server.socketPath });
  const reason = new Error("enough");
  await assertRejects(() => client.info(AbortSignal.abort(reason)), Error, "enough");
  const waiting = new AbortController();
  const failing = assertRejects(() => client.info(waiting.signal), Error, "enough");
  await reached.promise;
  waiting.abort(reason);
  await failing;
  const streaming = new AbortController();
  const events = await client.openEvents({ abort: streaming.signal });
  const reading = assertRejects(
    async () => {
      for await (const _ of events);
    },
    Error,
    "enough",
  );
  streaming.abort(reason);
  await reading;
});

Deno.test("EngineClient.openEvents() requests container events without exec from Docker, and all of them from Podman", async () => {
  for (const kind of ["docker", "podman"]) {
    await using temp = await TempDir.make();
    let target = "";
    const version = kind === "docker"
      ? VERSION
      : { ...VERSION, Components: [{ Name: "Podman Engine", Version: "4.3.1" }] };
    await using server = new RawHttpServer(temp.join("e.sock"), async (exchange) => {
      if (exchange.target === "/_ping") return exchange.write(PONG);
      if (exchange.target.endsWith("/version")) return exchange.write(httpReply(200, version));
      target = exchange.target;
      await exchange.write(CHUNKED_HEAD);
      await exchange.write("0\r\n\r\n");
    });
    using client = new EngineClient({ socketPath: server.socketPath });
    const aborter = new AbortController();
    for await (const _ of await client.openEvents({ sinceNano: 5.5e9, abort: aborter.signal }));
    const query = new URL(target, "http://e").searchParams;
    assertEquals(query.get("since"), "5.500000000");
    const filters = JSON.parse(query.get("filters") ?? "");
    assertEquals(filters.type, ["container"]);
    assertEquals(filters.event?.includes("die"), kind === "docker" ? true : undefined);
    assertEquals(filters.event?.some((action: string) => action.startsWith("exec")) ?? false, false);
  }
});

Deno.test("EngineClient can be disposed twice", () => {
  const client = new EngineClient({ socketPath: "/nope" });
  client[Symbol.dispose]();
  client[Symbol.dispose]();
});
