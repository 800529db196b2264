/** Who is told of a removal that fails: of what is tried again nobody is, of what is given up everybody, once. */
import { assertEquals } from "@std/assert";
import { ContainerManager } from "../../src/containers/container_manager.ts";
import { EngineClient } from "../../src/engine/engine_client.ts";
import { type Clock, systemClock } from "../../src/platform/clock.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import {
  type RemovalOptions,
  removeContainer,
  removeWithRetries,
} from "../../src/workspaces/workspace_removal.ts";
import { httpReply, type RawExchange, RawHttpServer } from "../support/engines/raw_http_server.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

const ID = "c".repeat(64);
const REMOVED = "HTTP/1.1 204 No Content\r\n\r\n";
const BUSY = httpReply(500, { message: "device or resource busy" });
const GONE = httpReply(404, { message: `No such container: ${ID}` });
/** The engine breaks off without a reply. */
const SILENCE = undefined;

/** No wait takes any time. */
const HASTE: Clock = {
  now: () => 0,
  after(_ms, callback) {
    queueMicrotask(callback);
    return () => {};
  },
};

/** Removes from an engine whose replies are these, one after the other, the last one again and again. */
async function removal<T>(
  replies: readonly (string | undefined)[],
  remove: (options: RemovalOptions) => Promise<T>,
): Promise<{ result: T; tries: number; told: string[] }> {
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
  const told: string[] = [];
  containers.on("container:removed", (event) => {
    if (!event.success) told.push(event.error);
  });
  const { signal } = new AbortController();
  const options = { containers, clock: HASTE, logger: silentLogger, signal };
  const result = await within(20_000, "the end of the removal", remove(options));
  return { result, tries, told };
}

const CASES: readonly [string, readonly (string | undefined)[], unknown][] = [
  ["works at the third try: nobody", [BUSY, BUSY, REMOVED], { result: "removed", tries: 3, told: [] }],
  ["is given up: everybody, once", [BUSY], {
    result: "left",
    tries: 5,
    told: ["cannot remove container cccccccccccc: device or resource busy"],
  }],
  ["waits for the engine to be back: nobody", [SILENCE], { result: "unanswered", tries: 5, told: [] }],
  ["is of a container that is gone: nobody", [GONE], { result: "removed", tries: 1, told: [] }],
];

for (const [name, replies, expected] of CASES) {
  Deno.test(`who is told of a removal that ${name}`, async () => {
    assertEquals(await removal(replies, (options) => removeWithRetries(ID, options)), expected);
  });
}

Deno.test("who is told of a removal that is tried but once: everybody", async () => {
  const once = ({ containers }: RemovalOptions) => removeContainer(ID, containers).catch(() => "failed");
  assertEquals(await removal([BUSY], once), {
    result: "failed",
    tries: 1,
    told: ["cannot remove container cccccccccccc: device or resource busy"],
  });
});
