import { assertEquals, assertRejects } from "@std/assert";
import type { ContainerRecord } from "../../../src/containers/container_record.ts";
import { TaskOutput } from "../../../src/daemon/operations/task_output.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import type { LogChunk } from "../../../src/engine/logs/log_frames.ts";
import { RecordingChannel } from "../../support/daemons/recording_channel.ts";
import { nextTurn } from "../../support/daemons/test_control_server.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

/** One step of an engine's log: text of a stream, a pause until a promise resolves or without an end, or an error. */
type Said = readonly ["stdout" | "stderr", string] | Promise<unknown> | "nothing" | Error;

const RECORD: ContainerRecord = { id: "c", name: "n", image: "i", labels: {}, state: "exited" };

/** An engine that answers each reading of the output from a script, and a task that the test ends. */
class Fixture {
  readonly clock = new FakeClock();
  readonly channel = new RecordingChannel();
  readonly ended = Promise.withResolvers<void>();
  isRemoved = false;
  /** Whether each reading followed the output. */
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

  /** Advances the clock until the next reading. */
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

Deno.test("TaskOutput relays both streams separately, in order, to the end", async () => {
  const fixture = new Fixture([["stdout", "one"], ["stderr", "two"], ["stdout", "three"]]);
  fixture.ended.resolve();
  assertEquals(await fixture.relay(), undefined);
  assertEquals(await fixture.channel.received(), [["data", "one"], ["stderr", "two"], ["data", "three"]]);
  assertEquals(fixture.clock.pendingTimers, 0);
});

Deno.test("TaskOutput splits a chunk that is longer than a frame", async () => {
  const text = "abcdefg".repeat(30_000);
  const fixture = new Fixture([["stdout", text]]);
  fixture.ended.resolve();
  await fixture.relay();
  const received = await fixture.channel.received();
  assertEquals(received.length, 4);
  assertEquals(received.map(([, part]) => part).join(""), text);
});

Deno.test("TaskOutput reads the output again after the end, for bytes that a followed log may have lost", async () => {
  const fixture = new Fixture([["stdout", "most "]], [["stdout", "most of it"]]);
  const relay = fixture.relay();
  await nextTurn();
  fixture.ended.resolve();
  assertEquals(await relay, undefined);
  assertEquals(await fixture.channel.received(), [["data", "most "], ["data", "of it"]]);
  assertEquals([fixture.readings, fixture.clock.pendingTimers], [[true, false], 0]);
});

Deno.test("TaskOutput reads again when the connection breaks, and relays nothing twice", async () => {
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

Deno.test("TaskOutput reads again when the output ends before its task", async () => {
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

Deno.test("TaskOutput gives a stuck engine five seconds after the task's end, and after each chunk", async () => {
  const piece = Promise.withResolvers<void>();
  const fixture = new Fixture([["stdout", "said "], piece.promise, ["stdout", "late"], "nothing"]);
  const relay = fixture.relay();
  await nextTurn();
  // While the task runs, a pause of the output proves nothing.
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

Deno.test("TaskOutput waits indefinitely for a client that does not read", async () => {
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

Deno.test("TaskOutput returns the reason why output may be missing", async (t) => {
  await t.step("the container was removed before the reading", async () => {
    const fixture = new Fixture([new EngineError("no such container: c", { status: 404 })]);
    assertEquals(await fixture.relay(), "no such container: c");
    assertEquals(fixture.readings.length, 1);
  });
  await t.step("the container was removed during the reading", async () => {
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

Deno.test("TaskOutput ends when its client hangs up, during any wait", async (t) => {
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
