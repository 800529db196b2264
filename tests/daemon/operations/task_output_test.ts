import { assertEquals, assertRejects } from "@std/assert";
import type { ContainerRecord } from "../../../src/containers/container_record.ts";
import { TaskOutput } from "../../../src/daemon/operations/task_output.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import type { LogChunk } from "../../../src/engine/logs/log_frames.ts";
import { RecordingChannel } from "../../support/daemons/recording_channel.ts";
import { nextTurn } from "../../support/daemons/test_control_server.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

/** What an engine says of one container in one reading: text by stream; waiting until a promise or for ever; an error. */
type Said = readonly ["stdout" | "stderr", string] | Promise<unknown> | "nothing" | Error;

const RECORD: ContainerRecord = { id: "c", name: "n", image: "i", labels: {}, state: "exited" };

/** An engine that answers each reading of the output as the script says, and a task whose end the test decides. */
class Fixture {
  readonly clock = new FakeClock();
  readonly channel = new RecordingChannel();
  readonly ended = Promise.withResolvers<void>();
  isRemoved = false;
  /** Of each reading, whether it followed the output. */
  readonly readings: boolean[] = [];
  readonly #script: readonly (readonly Said[])[];

  constructor(...script: readonly (readonly Said[])[]) {
    this.#script = script;
  }

  relay(): Promise<string | undefined> {
    const { clock, channel, ended: { promise: ended } } = this;
    const containers = {
      find: () => this.isRemoved ? undefined : RECORD,
      logs: (_: string, { follow, abort }: { follow?: boolean; abort?: AbortSignal } = {}) => {
        this.readings.push(follow!);
        return read(this.#script[this.readings.length - 1] ?? [], abort!);
      },
    };
    const output = new TaskOutput({ containers, containerId: "c", ended, channel, clock });
    return within(10_000, "the end of the relay", output.relay());
  }

  /** Lets time pass until the next reading. */
  async untilReading(count: number): Promise<void> {
    for (let i = 0; this.readings.length < count && i < 100; i++) {
      await nextTurn();
      this.clock.advance(1_000);
    }
    assertEquals(this.readings.length, count);
    await nextTurn();
  }
}

async function* read(said: readonly Said[], signal: AbortSignal): AsyncGenerator<LogChunk> {
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  signal.addEventListener("abort", () => aborted.reject(signal.reason));
  for (const each of said) {
    if (each instanceof Error) throw each;
    if (each === "nothing") await aborted.promise;
    else if (each instanceof Promise) await Promise.race([each, aborted.promise]);
    else {
      const [stream, text] = each as ["stdout" | "stderr", string];
      yield { stream, bytes: new TextEncoder().encode(text) };
    }
  }
}

Deno.test("TaskOutput relays both streams apart, in order, to the end", async () => {
  const fixture = new Fixture([["stdout", "one"], ["stderr", "two"], ["stdout", "three"]]);
  fixture.ended.resolve();
  assertEquals(await fixture.relay(), undefined);
  assertEquals(await fixture.channel.received(), [["data", "one"], ["stderr", "two"], ["data", "three"]]);
  assertEquals(fixture.clock.pendingTimers, 0);
});

Deno.test("TaskOutput cuts what is longer than a frame, and loses none of it", async () => {
  const text = "abcdefg".repeat(30_000);
  const fixture = new Fixture([["stdout", text]]);
  fixture.ended.resolve();
  await fixture.relay();
  const received = await fixture.channel.received();
  assertEquals(received.length, 4);
  assertEquals(received.map(([, part]) => part).join(""), text);
});

Deno.test("TaskOutput asks once more after the end, for what an engine that is followed may leave out", async () => {
  const fixture = new Fixture([["stdout", "most "]], [["stdout", "most of it"]]);
  const relay = fixture.relay();
  await nextTurn();
  fixture.ended.resolve();
  assertEquals(await relay, undefined);
  assertEquals(await fixture.channel.received(), [["data", "most "], ["data", "of it"]]);
  assertEquals([fixture.readings, fixture.clock.pendingTimers], [[true, false], 0]);
});

Deno.test("TaskOutput asks anew when the engine breaks off, and relays nothing twice", async () => {
  const fixture = new Fixture(
    [["stdout", "one "], ["stderr", "err "], new EngineError("connection lost")],
    [new EngineError("cannot reach the engine")],
    [["stdout", "one two "], ["stderr", "err or "], new EngineError("connection lost")],
    [["stdout", "one "], ["stdout", "two three"], ["stderr", "err or"]],
    [["stderr", "err or"], ["stdout", "one two three"]],
  );
  const relay = fixture.relay();
  await fixture.untilReading(4);
  fixture.ended.resolve();
  assertEquals(await relay, undefined);
  const texts = { data: "", stderr: "" };
  for (const [kind, text] of await fixture.channel.received()) texts[kind as "data" | "stderr"] += text;
  assertEquals(texts, { data: "one two three", stderr: "err or " });
});

Deno.test("TaskOutput asks anew when the output ends and its task does not", async () => {
  const fixture = new Fixture([["stdout", "before "]], [["stdout", "before after"]], [[
    "stdout",
    "before after",
  ]]);
  const relay = fixture.relay();
  await fixture.untilReading(2);
  fixture.ended.resolve();
  assertEquals(await relay, undefined);
  assertEquals(await fixture.channel.received(), [["data", "before "], ["data", "after"]]);
});

Deno.test("TaskOutput gives a stuck engine five seconds after the task's end, anew with each piece", async () => {
  const piece = Promise.withResolvers<void>();
  const fixture = new Fixture([["stdout", "said "], piece.promise, ["stdout", "late"], "nothing"]);
  const relay = fixture.relay();
  await nextTurn();
  // While the task runs, silence is no sign of anything.
  fixture.clock.advance(3_600_000);
  fixture.ended.resolve();
  await nextTurn();
  fixture.clock.advance(4_999);
  piece.resolve();
  await nextTurn();
  fixture.clock.advance(4_999);
  await nextTurn();
  assertEquals(await fixture.channel.received(), [["data", "said "], ["data", "late"]]);
  fixture.clock.advance(1);
  assertEquals(await relay, "the engine did not end the output within 5 s of the task's end");
  assertEquals([fixture.readings, fixture.clock.pendingTimers], [[true], 0]);
});

Deno.test("TaskOutput waits for a client that does not read, for as long as that takes", async () => {
  const fixture = new Fixture([["stdout", "one "], ["stdout", "two"]]);
  fixture.channel.stall();
  fixture.ended.resolve();
  const relay = fixture.relay();
  for (let hour = 0; hour < 24; hour++) {
    await nextTurn();
    fixture.clock.advance(3_600_000);
  }
  fixture.channel.go();
  assertEquals(await relay, undefined);
  assertEquals(await fixture.channel.received(), [["data", "one "], ["data", "two"]]);
});

Deno.test("TaskOutput tells why something may be missing", async (t) => {
  await t.step("the container is gone when it is asked", async () => {
    const fixture = new Fixture([new EngineError("no such container: c", { status: 404 })]);
    assertEquals(await fixture.relay(), "no such container: c");
    assertEquals(fixture.readings.length, 1);
  });
  await t.step("the container was removed while it was read", async () => {
    const fixture = new Fixture([["stdout", "some"]]);
    fixture.isRemoved = true;
    fixture.ended.resolve();
    assertEquals(await fixture.relay(), "the container was removed before all of its output was read");
  });
  await t.step("the engine fails for more than five seconds after the end", async () => {
    const fixture = new Fixture(...Array.from({ length: 20 }, () => [new EngineError("no connection")]));
    fixture.ended.resolve();
    const relay = fixture.relay();
    await fixture.untilReading(6);
    assertEquals(await relay, "no connection");
    assertEquals(fixture.clock.pendingTimers, 0);
  });
});

Deno.test("TaskOutput ends with its client, whatever it is waiting for", async (t) => {
  const lost = new EngineError("connection lost");
  for (const [name, script] of [["the engine", ["nothing"]], ["the next try", [lost]]] as const) {
    await t.step(name, async () => {
      const fixture = new Fixture(script);
      const relay = fixture.relay();
      await nextTurn();
      fixture.channel.hangUp();
      await assertRejects(() => relay, Error, "hung up");
      assertEquals(fixture.clock.pendingTimers, 0);
    });
  }
});
