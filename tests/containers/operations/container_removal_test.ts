/** Which failures of a removal are published: none that is followed by another attempt, and the last refusal once. */
import { assertEquals } from "@std/assert";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import {
  attemptRemoval,
  type ContainerRemovalOptions,
  removeContainer,
} from "../../../src/containers/operations/container_removal.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { type Clock, systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { httpReply, type RawExchange, RawHttpServer } from "../../support/engines/raw_http_server.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

const ID = "c".repeat(64);
const REMOVED = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY = httpReply(500, { message: "device or resource busy" });
const MISSING = httpReply(404, { message: `No such container: ${ID}` });
/** The engine closes the connection without a reply. */
const SILENCE = undefined;

/** Every delay ends at once. */
const IMMEDIATE_CLOCK: Clock = {
  now: () => 0,
  after(_ms, callback) {
    queueMicrotask(callback);
    return () => {};
  },
};

/** Removes from an engine that sends these replies in order, and repeats the last one. */
async function removal<T>(
  replies: readonly (string | undefined)[],
  remove: (options: ContainerRemovalOptions) => Promise<T>,
): Promise<{ result: T; tries: number; published: string[] }> {
  await using temp = await TempDir.make();
  let tries = 0;
  const answer = async ({ target, write, close }: RawExchange): Promise<void> => {
    if (target === "/_ping") return await write(httpReply(200, "OK", { "Api-Version": "1.41" }));
    const reply = replies[Math.min(tries++, replies.length - 1)];
    if (reply === undefined) close();
    else await write(reply);
  };
  await using server = new RawHttpServer(temp.join("e.sock"), answer);
  using client = new EngineClient({ socketPath: server.socketPath });
  await using containers = new ContainerManager({ client, clock: systemClock, logger: silentLogger });
  const published: string[] = [];
  containers.on("container:removed", (event) => {
    if (!event.success) published.push(event.error);
  });
  const { signal: abort } = new AbortController();
  const options = { containers, clock: IMMEDIATE_CLOCK, logger: silentLogger, abort };
  const result = await within(20_000, "the result of the removal", remove(options));
  return { result, tries, published };
}

const CASES: readonly [string, readonly (string | undefined)[], unknown][] = [
  ["publishes nothing when the third attempt succeeds", [BUSY, BUSY, REMOVED], {
    result: "removed",
    tries: 3,
    published: [],
  }],
  ["publishes the failure once when the engine refuses every attempt", [BUSY], {
    result: "refused",
    tries: 5,
    published: ["cannot remove container cccccccccccc: device or resource busy"],
  }],
  ["publishes nothing when the engine answers no attempt", [SILENCE], {
    result: "unanswered",
    tries: 5,
    published: [],
  }],
  ["publishes nothing when the container does not exist", [MISSING], {
    result: "removed",
    tries: 1,
    published: [],
  }],
];

for (const [name, replies, expected] of CASES) {
  Deno.test(`removeContainer() ${name}`, async () => {
    assertEquals(await removal(replies, (options) => removeContainer(ID, options)), expected);
  });
}

Deno.test("attemptRemoval() publishes its failure", async () => {
  const once = ({ containers }: ContainerRemovalOptions) =>
    attemptRemoval(ID, containers).catch(() => "failed");
  assertEquals(await removal([BUSY], once), {
    result: "failed",
    tries: 1,
    published: ["cannot remove container cccccccccccc: device or resource busy"],
  });
});
