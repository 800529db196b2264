/** The possible ends of a long reply. For real engines, see `logs` in tests/containers. */
import { assertEquals, assertRejects } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import {
  CHUNKED_HEAD,
  httpChunk,
  httpReply,
  type RawHandler,
  RawHttpServer,
} from "../../support/engines/raw_http_server.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

interface Engine extends AsyncDisposable {
  readonly client: EngineClient;
}

async function startEngine(answer: RawHandler): Promise<Engine> {
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await TempDir.make());
  const server = stack.use(
    new RawHttpServer(dir.join("s"), async (exchange) => {
      if (exchange.target === "/_ping") {
        return await exchange.write(httpReply(200, "OK", { "Api-Version": "1.41" }));
      }
      await answer(exchange);
    }),
  );
  const client = stack.use(new EngineClient({ socketPath: server.socketPath }));
  const owned = stack.move();
  return { client, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function read({ client }: Engine): Promise<string> {
  const body = await within(5_000, "the head", client.openLong("/long", { query: { a: 1 } }));
  return await within(5_000, "the body", new Response(body).text());
}

const LINES = Array.from({ length: 2_000 }, (_, line) => `line ${line}\n`);

Deno.test("EngineClient.openLong() returns a chunked body, with many chunks in one piece", async () => {
  await using engine = await startEngine(async ({ target, write }) => {
    assertEquals(target, "/v1.41/long?a=1");
    await write(CHUNKED_HEAD + LINES.map(httpChunk).join("") + "0\r\n\r\n");
  });
  const pieces = await Array.fromAsync(await engine.client.openLong("/long", { query: { a: 1 } }));
  const text = pieces.map((piece) => new TextDecoder().decode(piece)).join("");
  assertEquals(text, LINES.join(""));
  assertEquals(pieces.length < LINES.length / 10, true, `${pieces.length} pieces`);
});

Deno.test("EngineClient.openLong() returns a body of known length, and one that ends with the connection", async () => {
  await using sized = await startEngine(({ write }) => write(httpReply(200, "some text")));
  assertEquals(await read(sized), "some text");
  await using open = await startEngine(async ({ write, close }) => {
    await write("HTTP/1.1 200 OK\r\n\r\nsome text");
    close();
  });
  assertEquals(await read(open), "some text");
  await using empty = await startEngine(({ write }) => write(httpReply(200, "")));
  assertEquals(await read(empty), "");
});

Deno.test("EngineClient.openLong() rejects with the engine's message, and when the connection breaks", async () => {
  await using refusing = await startEngine(({ write }) =>
    write(httpReply(404, { message: "No such container: c" }))
  );
  const error = await assertRejects(() => read(refusing), EngineError, "No such container: c");
  assertEquals(error.code, "not_found");
  for (
    const start of [CHUNKED_HEAD, CHUNKED_HEAD + "5\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]
  ) {
    await using engine = await startEngine(async ({ write, close }) => {
      await write(start);
      close();
    });
    await assertRejects(() => read(engine), EngineError, "broke during a reply");
  }
  await using invalid = await startEngine(({ write }) => write(CHUNKED_HEAD + "what?\r\n"));
  await assertRejects(() => read(invalid), EngineError, "an invalid size");
});

Deno.test("EngineClient.openLong() ends when the body is cancelled during a read", async () => {
  const gone = Promise.withResolvers<void>();
  await using engine = await startEngine(async ({ write, closed }) => {
    await write(CHUNKED_HEAD + httpChunk("some"));
    void closed.then(gone.resolve);
  });
  const body = await engine.client.openLong("/long");
  const reader = body.getReader();
  await reader.read();
  const waiting = reader.read();
  await reader.cancel();
  assertEquals((await within(5_000, "the read", waiting)).done, true);
  await within(5_000, "the connection's end", gone.promise);
});
