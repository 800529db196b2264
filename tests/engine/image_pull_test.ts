import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { EngineClient } from "../../src/engine/engine_client.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { pullImage, type PullOptions, type PullProgress } from "../../src/engine/image_pull.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import {
  CHUNKED_HEAD,
  httpChunk,
  httpReply,
  type RawExchange,
  RawHttpServer,
} from "../support/engines/raw_http_server.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

type Answer = (exchange: RawExchange) => Promise<void>;

/** Pulls from an engine with the given replies. Returns the requests and the progress. */
async function pullFrom(
  answer: Answer,
  { image = "busybox", afterwards, ...options }: Partial<PullOptions> & {
    image?: string;
    /** Awaited before the engine ends. */
    afterwards?: Promise<void>;
  } = {},
): Promise<{ targets: string[]; progress: PullProgress[] }> {
  await using temp = await TempDir.make();
  const targets: string[] = [];
  await using server = new RawHttpServer(temp.join("e.sock"), (exchange) => {
    if (exchange.target === "/_ping") {
      return exchange.write(httpReply(200, "OK", { "Api-Version": "1.41" }));
    }
    targets.push(`${exchange.method} ${exchange.target}`);
    return answer(exchange);
  });
  using client = new EngineClient({ socketPath: server.socketPath });
  const progress: PullProgress[] = [];
  const onProgress = (update: PullProgress) => void progress.push(update);
  try {
    const pulled = pullImage(client, image, { clock: systemClock, onProgress, ...options });
    await within(10_000, `the pull of ${image}`, pulled);
  } finally {
    if (afterwards !== undefined) await within(5_000, "the work after the pull", afterwards);
  }
  return { targets, progress };
}

/** Replies with a body in these pieces. */
function replying(...pieces: string[]): Answer {
  return async ({ write }) => {
    await write(CHUNKED_HEAD);
    for (const piece of pieces) await write(httpChunk(piece));
    await write("0\r\n\r\n");
  };
}

const line = (message: unknown) => `${JSON.stringify(message)}\r\n`;

Deno.test("pullImage() requests name and tag, and reports progress", async () => {
  const lines = [
    line({ status: "Pulling from library/busybox", id: "1.36" }),
    line({ status: "Pulling fs layer", progressDetail: {}, id: "0a1b2c3d4e5f" }),
    line({
      status: "Downloading",
      progressDetail: { current: 0, total: 2_000 },
      progress: "[> ]",
      id: "0a1b2c3d4e5f",
    }),
    line({ status: "Downloading", progressDetail: { current: 1_500, total: -1 }, id: "0a1b2c3d4e5f" }),
    "\r\n",
    line({ status: "Status: Downloaded newer image for busybox:1.36" }),
  ].join("");
  // A chunk is not a line.
  const answer = replying(lines.slice(0, 70), lines.slice(70, 300), lines.slice(300));
  const image = "busybox:1.36";
  const { targets, progress } = await pullFrom(answer, { image });
  assertEquals(targets, ["POST /v1.41/images/create?fromImage=busybox&tag=1.36"]);
  const layer = "0a1b2c3d4e5f";
  assertEquals(progress, [
    { image, status: "Pulling from library/busybox" },
    { image, status: "Pulling fs layer", layer },
    { image, status: "Downloading", layer, currentBytes: 0, totalBytes: 2_000 },
    { image, status: "Downloading", layer, currentBytes: 1_500 },
    { image, status: "Status: Downloaded newer image for busybox:1.36" },
  ]);
});

Deno.test("pullImage() never requests all tags, and requests a digest by its digest", async () => {
  const digest = `sha256:${"ab".repeat(32)}`;
  const asked = async (image: string) =>
    (await pullFrom(replying(line({ status: "ok" })), { image })).targets;
  assertEquals(await asked("localhost:5000/a/b"), [
    "POST /v1.41/images/create?fromImage=localhost%3A5000%2Fa%2Fb&tag=latest",
  ]);
  assertEquals(await asked(`a:1@${digest}`), [
    `POST /v1.41/images/create?fromImage=a&tag=${encodeURIComponent(digest)}`,
  ]);
});

Deno.test("pullImage() rejects with an error in the middle of the reply, naming the image", async () => {
  const failures = [
    { error: "toomanyrequests: slow down", errorDetail: { message: "toomanyrequests: slow down" } },
    { error: "toomanyrequests: slow down" },
    { errorDetail: { code: 1, message: "toomanyrequests: slow down" } },
  ];
  for (const failure of failures) {
    const answer = replying(line({ status: "Pulling fs layer" }), line(failure), line({ status: "Done" }));
    const error = await assertRejects(() => pullFrom(answer), EngineError);
    assertEquals(error.message, 'cannot pull image "busybox": toomanyrequests: slow down');
    assertEquals(error.code, "engine");
  }
});

Deno.test("pullImage() rejects with the engine's refusal, naming the image", async () => {
  const answer: Answer = ({ write }) => write(httpReply(404, { message: "pull access denied for busybox" }));
  const error = await assertRejects(() => pullFrom(answer), EngineError);
  assertEquals(error.message, 'cannot pull image "busybox": pull access denied for busybox');
  assertEquals([error.code, error.status], ["not_found", 404]);
});

Deno.test("pullImage() rejects when the connection breaks", async () => {
  const answer: Answer = async ({ write, close }) => {
    await write(CHUNKED_HEAD);
    await write(httpChunk(line({ status: "Pulling fs layer" })));
    close();
  };
  const error = await assertRejects(() => pullFrom(answer), EngineError);
  assertStringIncludes(error.message, 'cannot pull image "busybox": ');
});

Deno.test("pullImage() rejects when the engine sends nothing for a minute", async () => {
  // The limit applies between lines: the clock passes it while the second line is awaited.
  let waits = 0;
  const clock: Clock = {
    now: () => 0,
    after: (delayMs, callback) => {
      assertEquals(delayMs, 60_000);
      if (++waits === 2) queueMicrotask(callback);
      return () => {};
    },
  };
  const answer: Answer = async ({ write, closed }) => {
    await write(CHUNKED_HEAD);
    await write(httpChunk(line({ status: "Downloading" })));
    await closed;
  };
  const error = await assertRejects(() => pullFrom(answer, { clock }), ApexError);
  assertEquals(error.message, 'cannot pull image "busybox": the engine has sent nothing for 60 s');
  assertEquals([error.code, waits], ["timeout", 2]);
});

Deno.test("pullImage() rejects with the abort reason, and closes the connection", async () => {
  const abort = new AbortController();
  const hungUp = Promise.withResolvers<void>();
  const answer: Answer = async ({ write, closed }) => {
    await write(CHUNKED_HEAD);
    await write(httpChunk(line({ status: "Downloading" })));
    await closed;
    hungUp.resolve();
  };
  const onProgress = () => abort.abort(new RangeError("enough"));
  const pulled = pullFrom(answer, { abort: abort.signal, onProgress, afterwards: hungUp.promise });
  await assertRejects(() => pulled, RangeError, "enough");
});

Deno.test("pullImage() skips overlong lines and lines that are not JSON", async () => {
  const long = line({ status: "x".repeat(100_000) });
  const { progress } = await pullFrom(
    replying(long.slice(0, 50_000), long.slice(50_000), "<html>\n", line({ status: "Done" })),
  );
  assertEquals(progress.map(({ status }) => status), ["Done"]);
});

Deno.test("pullImage() sends no request for an invalid reference", async () => {
  const answer: Answer = () => Promise.reject(new Error("asked"));
  const error = await assertRejects(() => pullFrom(answer, { image: "No Image" }), ApexError);
  assertEquals([error.code, error.message], [
    "usage",
    'cannot pull image "No Image": it is not an image name',
  ]);
});
