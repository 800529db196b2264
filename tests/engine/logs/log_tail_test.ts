/** The end of a container's output with its times, on the embedded engine, Docker and Podman. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { decodeLogRecords, LogRecordTail, readLogTail } from "../../../src/engine/logs/log_tail.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { podmanAvailable, startPodman } from "../../support/engines/podman_engine.ts";

const clock = systemClock;
const MIB = 1024 * 1024;
const decoder = new TextDecoder();

interface LogEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly imageId?: string;
}

interface Ran extends AsyncDisposable {
  readonly client: EngineClient;
  readonly id: string;
}

async function ran(engine: LogEngine, script: string): Promise<Ran> {
  const { socketPath, imageId } = engine;
  const driver = new ContainerDriver(socketPath, imageId === undefined ? {} : { image: imageId });
  const id = await driver.create({
    name: `log-${crypto.randomUUID().slice(0, 8)}`,
    Cmd: ["sh", "-c", script],
    HostConfig: { NetworkMode: "none" },
  });
  await driver.start(id);
  await driver.wait(id);
  return {
    id,
    client: driver.client,
    [Symbol.asyncDispose]: async () => {
      await driver.remove(id, { force: true });
      driver[Symbol.dispose]();
    },
  };
}

async function tailOf({ client, id }: Ran, maxBytes: number) {
  const { records, isCut } = await readLogTail(client, { id, clock, maxBytes });
  const decoded = decodeLogRecords(records);
  const textOf = (stream: string) =>
    decoded.filter((each) => each.stream === stream).map(({ text }) => decoder.decode(text)).join("");
  return { decoded, isCut, bytes: records.length, stdout: textOf("stdout"), stderr: textOf("stderr") };
}

async function checkLogTail(t: Deno.TestContext, engine: LogEngine): Promise<void> {
  await t.step("both streams are complete, in order, each line with its time", async () => {
    const beganMs = Date.now();
    await using container = await ran(engine, "echo one; sleep 0.05; echo err >&2; sleep 0.05; printf two");
    const { decoded, isCut, stdout, stderr } = await tailOf(container, 1_000);
    assertEquals([stdout.replace(/two\n?$/, "two"), stderr, isCut], ["one\ntwo", "err\n", false]);
    assertEquals(decoded.map(({ stream }) => stream), ["stdout", "stderr", "stdout"]);
    const times = decoded.map(({ timeNano }) => Number(timeNano / 1_000_000n));
    // Podman's API has whole seconds.
    assert(times.every((time, i) => time >= (times[i - 1] ?? beganMs - 1_000)), `${times}`);
  });

  await t.step("no output gives an empty tail", async () => {
    await using container = await ran(engine, "true");
    assertEquals(await tailOf(container, 1_000), {
      decoded: [],
      isCut: false,
      bytes: 0,
      stdout: "",
      stderr: "",
    });
  });

  await t.step("of a long output, the last lines are returned, short and long ones", async () => {
    await using container = await ran(
      engine,
      "seq 100000; i=0; while [ $i -lt 20 ]; do echo; i=$((i+1)); done",
    );
    const lines = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join("") + "\n".repeat(20);
    for (const maxBytes of [100, 50_000, 1_000_000]) {
      const { stdout, isCut, bytes } = await tailOf(container, maxBytes);
      assert(lines.endsWith(stdout), `the end of ${stdout.slice(-100)}`);
      assertEquals([isCut, bytes], [true, maxBytes]);
      // Each line takes 13 bytes more; the last twenty are empty.
      assert(stdout.length > (maxBytes - 20 * 14) / 5, `${stdout.length} of ${maxBytes}`);
    }
    const whole = await tailOf(container, 10_000_000);
    assertEquals([whole.stdout === lines, whole.isCut], [true, false]);
  });

  await t.step(
    "a long line that the engine logs in pieces has no time and no break in its middle",
    async () => {
      await using container = await ran(engine, "head -c 200000 /dev/zero | tr '\\0' x; echo; echo end");
      const whole = await tailOf(container, 1_000_000);
      assertEquals([whole.stdout === "x".repeat(200_000) + "\nend\n", whole.isCut], [true, false]);
      const cut = await tailOf(container, 50_000);
      assert("x".repeat(50_000).concat("\nend\n").endsWith(cut.stdout), cut.stdout.replaceAll("x", ""));
      assert(cut.isCut && cut.stdout.length > 40_000, `${cut.stdout.length}`);
    },
  );

  await t.step("a removed container is not found", async () => {
    const container = await ran(engine, "true");
    const { id } = container;
    await container[Symbol.asyncDispose]();
    using client = new EngineClient({ socketPath: engine.socketPath });
    const error = await assertRejects(() => readLogTail(client, { id, clock, maxBytes: 100 }), EngineError);
    assertEquals(error.code, "not_found");
  });
}

Deno.test("readLogTail() on the embedded engine", async (t) => {
  await using engine = await TestEngine.start();
  await checkLogTail(t, engine);
});

Deno.test({
  name: "readLogTail() on real Docker",
  ignore: !await dockerAvailable(),
  fn: async (t) => {
    await using engine = await startDocker();
    await checkLogTail(t, engine);
    await t.step("of 100 MB, little more than the end is read", async () => {
      const line = "0123456789".repeat(4);
      await using container = await ran(engine, `yes ${line} | head -c 100000000`);
      const { client, id } = container;
      let readBytes = 0;
      const counting = {
        identify: (signal?: AbortSignal) => client.identify(signal),
        openLong: async (...args: Parameters<EngineClient["openLong"]>) =>
          (await client.openLong(...args)).pipeThrough(
            new TransformStream<Uint8Array, Uint8Array>({
              transform(chunk, controller) {
                readBytes += chunk.length;
                controller.enqueue(chunk);
              },
            }),
          ),
      };
      const { records, isCut } = await readLogTail(counting, { id, clock, maxBytes: MIB });
      assertEquals([isCut, records.length], [true, MIB]);
      assert(readBytes < 10 * MIB, `${readBytes} bytes`);
    });
  },
});

Deno.test({
  name: "readLogTail() on real Podman",
  ignore: !await podmanAvailable(),
  fn: async (t) => {
    await using engine = await startPodman();
    await checkLogTail(t, engine);
  },
});

Deno.test("decodeLogRecords() returns the last records, the first one with the rest of its text", () => {
  const tail = new LogRecordTail(60);
  for (const [i, text] of ["first\n", "second\n", "third\n"].entries()) {
    // In pieces, as it may arrive.
    for (const byte of new TextEncoder().encode(text)) tail.push(Uint8Array.of(byte));
    tail.end({ stream: i === 1 ? "stderr" : "stdout", timeNano: 1_700_000_000_123_456_789n + BigInt(i) });
  }
  const read = () =>
    decodeLogRecords(tail.bytes()).map(({ stream, timeNano, text }) =>
      [stream, Number(timeNano - 1_700_000_000_123_456_789n), decoder.decode(text)] as const
    );
  const [first, second, third] = [["stdout", 0, "first\n"], ["stderr", 1, "second\n"], [
    "stdout",
    2,
    "third\n",
  ]];
  assertEquals([tail.isCut, read()], [false, [first, second, third]]);
  tail.end({ stream: "stdout", timeNano: 1_700_000_000_123_456_792n });
  // The first 11 of 71 bytes are cut off.
  assertEquals([tail.isCut, read()], [true, [second, third, ["stdout", 3, ""]]]);
});
