/** The embedded engine's HTTP, byte by byte: both target forms, framing, pipelining, and malformed requests. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TestEngine } from "../../support/engines/embedded_engine.ts";

/** Sends `bytes`, ends the writing side by default, and reads to the end. */
async function exchange(engine: TestEngine, text: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  return await readAll(connection);
}

async function readAll(connection: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(16_384);
  let text = "";
  for (;;) {
    const count = await connection.read(chunk);
    if (count === null) return text;
    text += decoder.decode(chunk.subarray(0, count), { stream: true });
  }
}

const CLOSE = "Host: x\r\nConnection: close\r\n\r\n";
const CREATE = JSON.stringify({ Image: "busybox", Cmd: ["true"] });

const EXCHANGES: readonly (readonly [string, string, RegExp])[] = [
  ["an origin-form target", `GET /_ping HTTP/1.1\r\n${CLOSE}`, /^HTTP\/1\.1 200 OK\r\n(.+\r\n)*\r\nOK$/],
  ["an absolute-form target", `GET http://localhost/v1.41/_ping HTTP/1.1\r\n${CLOSE}`, /\r\n\r\nOK$/],
  [
    "HEAD, without a body",
    `HEAD /_ping HTTP/1.1\r\n${CLOSE}`,
    /^HTTP\/1\.1 200 OK\r\n(.+\r\n)*Content-Length: 2\r\n(.+\r\n)*\r\n$/,
  ],
  ["bare LF line ends", "GET /_ping HTTP/1.1\nConnection: close\n\n", /\r\n\r\nOK$/],
  ["HTTP/1.0, which ends by itself", "GET /_ping HTTP/1.0\r\n\r\n", /Connection: close\r\n(.+\r\n)*\r\nOK$/],
  [
    "pipelined requests, in their order",
    `GET /_ping HTTP/1.1\r\n\r\nGET /containers/json HTTP/1.1\r\n\r\nGET /nosuch HTTP/1.1\r\n${CLOSE}`,
    /^HTTP\/1\.1 200 [\s\S]+\r\n\r\nOKHTTP\/1\.1 200 [\s\S]+\r\n\r\n\[\]\nHTTP\/1\.1 404 [\s\S]+page not found"}\n$/,
  ],
  [
    "Expect: 100-continue",
    `POST /containers/create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${CREATE.length}\r\n${CLOSE}${CREATE}`,
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 Created\r\n/,
  ],
  [
    "a chunked request body",
    `POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${CLOSE}` +
    `5\r\n${CREATE.slice(0, 5)}\r\n${(CREATE.length - 5).toString(16)};x=y\r\n${
      CREATE.slice(5)
    }\r\n0\r\n\r\n`,
    /^HTTP\/1\.1 201 Created\r\n/,
  ],
  [
    "garbage",
    "\x16\x03\x01\x02garbage\r\n\r\n",
    /^HTTP\/1\.1 400 [\s\S]+not an HTTP\/1\.1 request line"}\n$/,
  ],
  [
    "a malformed header",
    "GET /_ping HTTP/1.1\r\nno colon\r\n\r\n",
    /^HTTP\/1\.1 400 [\s\S]+malformed header line"}\n$/,
  ],
  ["a target that is none", `GET nothing HTTP/1.1\r\n${CLOSE}`, /^HTTP\/1\.1 400 /],
  ["a head without end", `GET /_ping HTTP/1.1\r\nX: ${"x".repeat(70_000)}`, /^HTTP\/1\.1 431 /],
  [
    "a body that is too large",
    "POST /containers/create HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
    /^HTTP\/1\.1 413 /,
  ],
  ["a negative length", "POST /containers/create HTTP/1.1\r\nContent-Length: -1\r\n\r\n", /^HTTP\/1\.1 400 /],
  ["a malformed chunk", "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", /^HTTP\/1\.1 400 /],
  [
    "two framings at once",
    "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    /^HTTP\/1\.1 400 [\s\S]+both Transfer-Encoding and Content-Length/,
  ],
];

Deno.test("the embedded engine speaks HTTP/1.1", async (t) => {
  await using engine = await TestEngine.start();
  for (const [what, request, expected] of EXCHANGES) {
    await t.step(what, async () => assertMatch(await exchange(engine, request), expected));
  }
  await t.step(
    "and answers the next client",
    async () => assertEquals((await engine.call("GET", "/_ping")).body, "OK"),
  );
});

Deno.test("a client that disconnects during a request, a stream or a wait leaves nothing behind", async () => {
  await using engine = await TestEngine.start();
  const id = await engine.run("sleep 60");
  for (
    const request of [
      "GET /_pi",
      "POST /containers/create HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
      "GET /events HTTP/1.1\r\n\r\n",
      `POST /containers/${id}/wait HTTP/1.1\r\n\r\n`,
      `GET /containers/${id}/logs?stdout=1&follow=1 HTTP/1.1\r\n\r\n`,
    ]
  ) {
    const connection = await Deno.connect({ transport: "unix", path: engine.socketPath });
    await connection.write(new TextEncoder().encode(request));
    if (request.includes("HTTP/1.1\r\n\r\n")) await connection.read(new Uint8Array(1_000)); // The headers.
    connection.close();
  }
  for (;;) { // Until the engine has noticed; a test that hangs here has failed.
    const { body } = await engine.call("GET", "/info");
    if ((body as { NEventsListener: number }).NEventsListener === 0) break;
  }
});

Deno.test("a client of /events that does not read is disconnected, and the others get all events", async () => {
  await using engine = await TestEngine.start();
  using stalled = await Deno.connect({ transport: "unix", path: engine.socketPath });
  await stalled.write(new TextEncoder().encode("GET /events HTTP/1.1\r\n\r\n"));
  await stalled.read(new Uint8Array(1_000));
  const id = await engine.create("true", { config: { Labels: { padding: "x".repeat(4_000) } } });
  const counted = (async () => {
    let count = 0;
    for await (const _event of engine.follow()) if (++count === 2_501) return;
  })();
  for (let index = 0; index < 2_500; index++) {
    await engine.call("POST", `/containers/${id}/rename?name=${index % 2 === 0 ? "even" : "odd"}`);
  }
  await counted; // A test that hangs here has failed.
  const seen = await readAll(stalled);
  assertStringIncludes(seen, `"Action":"create"`);
  assert(!seen.endsWith("0\r\n\r\n"), "it should have been cut, as a loss");
});
