import { assertEquals, assertStringIncludes } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EventFollower } from "../../../src/engine/events/event_follower.ts";
import type { RecallEngine } from "../../../src/engine/events/follow_memory.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { RecordingHandlers } from "../../support/daemons/recording_handlers.ts";
import {
  ENGINE_EPOCH_NANO,
  eventLine,
  ScriptedEngine,
  summary,
} from "../../support/engines/scripted_engine.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { TempDir } from "../../support/temp_dir.ts";
import { within } from "../../support/within.ts";

class PingCountingClient extends EngineClient {
  answeredPings = 0;

  override async ping(signal?: AbortSignal): Promise<void> {
    await super.ping(signal);
    this.answeredPings++;
  }
}

interface Rig extends AsyncDisposable {
  readonly engine: ScriptedEngine;
  readonly handlers: RecordingHandlers;
  readonly clock: FakeClock;
  readonly follower: EventFollower;
  readonly socketPath: string;
  readonly client: PingCountingClient;
  /** The messages that the follower has logged. */
  readonly said: string[];
}

/** A follower that is not started, in front of a scripted engine, with a clock that stands still. */
async function rig(options: { recall?: RecallEngine; withEngine?: boolean } = {}): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const temp = stack.use(await TempDir.make());
  const socketPath = temp.join("engine.sock");
  const clock = new FakeClock();
  const said: string[] = [];
  const handlers = new RecordingHandlers();
  const engine = options.withEngine === false ? undefined : stack.use(new ScriptedEngine(socketPath));
  const client = stack.use(new PingCountingClient({ socketPath, clock }));
  const follower = stack.use(
    new EventFollower({
      client,
      handlers,
      clock,
      logger: { ...silentLogger, debug: (message) => void said.push(message) },
      random: () => 0,
      ...(options.recall !== undefined && { recall: options.recall }),
    }),
  );
  const owned = stack.move();
  return {
    client,
    said,
    engine: engine as ScriptedEngine,
    handlers,
    clock,
    follower,
    socketPath,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Lets a ping fall due, and waits for its reply, so that no deadline passes. */
async function passTenSeconds(r: Rig, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const before = r.client.answeredPings;
    r.clock.advance(10_000);
    await advanceUntil(r.clock, () => r.client.answeredPings > before, 0);
  }
}

/** Advances the clock in small steps, with I/O in between, until the condition holds. */
async function advanceUntil(clock: FakeClock, isSo: () => boolean, stepMs = 50): Promise<void> {
  for (let turns = 0; !isSo(); turns++) {
    if (turns > 5_000) throw new Error("it never became so");
    clock.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

Deno.test("EventFollower takes the first list as the baseline, and older events of the replay silently", async () => {
  await using r = await rig();
  r.engine.containers = [summary("a")];
  r.engine.replay = [eventLine("create", "a", -1_500), eventLine("start", "a", -1_000)];
  r.follower.start();
  await r.handlers.untilTrue(() => r.handlers.events.length === 2);
  await r.engine.say(eventLine("die", "a", 5));
  await r.handlers.until("event die a");
  assertEquals(r.handlers.log, ["connected 1 first", "silent create a", "silent start a", "event die a"]);
  assertEquals(r.engine.sinceAsked, [`${ENGINE_EPOCH_NANO / 1e9 - 2}.000000000`]);
  assertEquals(r.handlers.infos[0], {
    kind: "docker",
    version: "20.10.24",
    engineId: "ENGINE-1",
    containers: [summary("a")],
    first: true,
    baselineNano: ENGINE_EPOCH_NANO,
  });
  assertEquals(r.follower.lastEngineTimeNano, ENGINE_EPOCH_NANO + 5e6);
});

Deno.test("EventFollower delivers no event before the list, and the waiting ones in the turn of connected()", async () => {
  await using r = await rig();
  const list = Promise.withResolvers<void>();
  r.engine.holdList = list.promise;
  r.follower.start();
  await advanceUntil(new FakeClock(), () => r.engine.openStreams === 1 && r.engine.lists === 1);
  await r.engine.say(eventLine("create", "a", 1), eventLine("start", "a", 2), eventLine("die", "a", 3));
  // The pings are answered in order on other connections, so a round trip proves nothing: give the stream a moment.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(r.handlers.log, []);
  let atMicrotask: string[] = [];
  const connected = r.handlers.until("connected").then(() => atMicrotask = [...r.handlers.log]);
  list.resolve();
  await connected;
  assertEquals(atMicrotask, ["connected 0 first", "event create a", "event start a", "event die a"]);
});

Deno.test("EventFollower reconciles when the stream is quiet, after a second at most", async () => {
  await using r = await rig();
  r.follower.start();
  await r.handlers.until("connected");
  await advanceUntil(r.clock, () => r.clock.pendingTimers === 2, 0);
  r.clock.advance(199);
  assertEquals(r.handlers.count("reconcile"), 0);
  r.clock.advance(1);
  await r.handlers.until("reconcile");

  await using busy = await rig();
  busy.follower.start();
  await busy.handlers.until("connected");
  for (let step = 0; step < 5; step++) {
    await busy.engine.say(eventLine("start", "a", step));
    await busy.handlers.until("event start a", step + 1);
    assertEquals(busy.handlers.count("reconcile"), 0);
    await advanceUntil(busy.clock, () => busy.clock.pendingTimers === 2, 0);
    busy.clock.advance(200);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await busy.handlers.until("reconcile");
});

Deno.test("EventFollower resumes two seconds before its last event, without repeats or gaps", async () => {
  await using r = await rig();
  r.follower.start();
  await r.handlers.until("connected");
  await r.engine.say(eventLine("start", "a", 5_000), eventLine("start", "b", 5_100));
  await r.handlers.until("event start b");
  r.engine.nowNano += 60_000e6;
  r.engine.replay = [
    eventLine("start", "a", 5_000),
    eventLine("start", "b", 5_100),
    eventLine("die", "b", 5_200),
    eventLine("die", "b", 5_200),
  ];
  await r.engine.breakStreams();
  await advanceUntil(r.clock, () => r.handlers.count("connected") === 2);
  await r.handlers.until("event die b");
  await r.engine.say(eventLine("die", "a", 61_000));
  await r.handlers.until("event die a");
  const log = r.handlers.log.filter((line) => !line.startsWith("reconcile"));
  assertStringIncludes(log[3] ?? "", "disconnected the engine's event stream broke");
  assertEquals(log.filter((line) => !line.startsWith("disconnected")), [
    "connected 0 first",
    "event start a",
    "event start b",
    "connected 0",
    "event die b",
    "event die a",
  ]);
  assertEquals(r.engine.sinceAsked[1], `${ENGINE_EPOCH_NANO / 1e9 + 3}.100000000`);
});

Deno.test("EventFollower treats a clean end of the stream as a lost connection", async () => {
  await using r = await rig();
  r.follower.start();
  await r.handlers.until("connected");
  await r.engine.say(eventLine("start", "a", 1));
  await r.handlers.until("event start a");
  await r.engine.endStreams();
  await r.handlers.until("disconnected the engine ended its event stream");
  await advanceUntil(r.clock, () => r.handlers.count("connected") === 2);
});

Deno.test("EventFollower reconnects at once after a lost connection, and backs off when every connection is lost", async () => {
  await using r = await rig();
  r.follower.start();
  for (let cuts = 1; cuts <= 53; cuts++) {
    // The clock stands still: the reconnect is immediate.
    await advanceUntil(r.clock, () => r.handlers.count("connected") === cuts, cuts <= 51 ? 0 : 10);
    await advanceUntil(r.clock, () => r.engine.openStreams === 1, 0);
    await r.engine.endStreams();
    await r.handlers.until("disconnected", cuts);
  }
  const retries = r.said.map((message) => /again (at once|in \d+ ms)/.exec(message)?.[1])
    .filter((retry) => retry !== undefined);
  assertEquals(retries, [...Array(50).fill("at once"), "in 50 ms", "in 100 ms", "in 200 ms"]);
});

Deno.test("EventFollower reports a lost connection once, and retries with growing delays", async () => {
  await using r = await rig();
  r.engine.failStreams = 4;
  r.follower.start();
  await advanceUntil(r.clock, () => r.handlers.count("connected") === 1, 10);
  const waits = r.said.map((message) => /again in (\d+) ms/.exec(message)?.[1]).filter((ms) =>
    ms !== undefined
  );
  assertEquals(waits, ["50", "100", "200", "400"]);
  assertEquals(r.handlers.log.slice(0, 2), [
    "disconnected the engine refused GET /events: the event log is not available (status 500)",
    "connected 0 first",
  ]);
});

Deno.test("EventFollower disconnects from an engine that answers no ping for five seconds", async () => {
  await using r = await rig();
  r.follower.start();
  await r.handlers.until("connected");
  const hold = Promise.withResolvers<void>();
  r.engine.holdPing = hold.promise;
  const pings = r.engine.pings;
  await advanceUntil(r.clock, () => r.engine.pings === pings + 1, 500);
  assertEquals(r.handlers.count("disconnected"), 0);
  await advanceUntil(r.clock, () => r.handlers.count("disconnected") === 1, 500);
  assertStringIncludes(r.handlers.log.at(-1) ?? "", "did not reply to GET /_ping within 5 s");
  hold.resolve();
});

Deno.test("EventFollower.requestReconcile() causes one list for several requests in a row", async () => {
  await using r = await rig();
  r.follower.start();
  await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 1);
  await advanceUntil(r.clock, () => r.clock.pendingTimers === 2, 0);
  r.engine.containers = [summary("a"), summary("b")];
  for (let i = 0; i < 10; i++) r.follower.requestReconcile();
  await advanceUntil(r.clock, () => r.handlers.count("reconcile 2") === 1);
  await advanceUntil(r.clock, () => r.clock.pendingTimers === 2, 0);
  assertEquals(r.engine.lists, 2);
});

Deno.test("EventFollower lists again when that is requested while reconciling", async () => {
  await using r = await rig();
  r.handlers.onReconcile = () => {
    if (r.handlers.count("reconcile") === 1) r.follower.requestReconcile();
    return Promise.resolve();
  };
  r.follower.start();
  await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 2);
  assertEquals(r.engine.lists, 2);
});

Deno.test("EventFollower lists every five minutes, and ten seconds after a failed reconcile", async () => {
  await using r = await rig();
  r.follower.start();
  await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 1);
  await passTenSeconds(r, 29);
  assertEquals(r.engine.lists, 1);
  await passTenSeconds(r, 1);
  await advanceUntil(r.clock, () => r.engine.lists === 2, 0);
  r.handlers.onReconcile = () => Promise.reject(new Error("inspect failed"));
  await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 2);
  assertEquals(r.engine.lists, 2);
  await passTenSeconds(r, 1);
  await advanceUntil(r.clock, () => r.engine.lists === 3, 0);
  assertEquals(r.handlers.count("disconnected"), 0);
});

Deno.test("EventFollower continues when a handler throws", async () => {
  await using r = await rig();
  let thrown = 0;
  const event = r.handlers.event.bind(r.handlers);
  r.handlers.event = (engineEvent, silent) => {
    if (engineEvent.id === "bad") throw new Error(`defect ${++thrown}`);
    event(engineEvent, silent);
  };
  r.follower.start();
  await r.handlers.until("connected");
  await r.engine.say(eventLine("start", "bad", 1), eventLine("start", "good", 2));
  await r.handlers.until("event start good");
  assertEquals(thrown, 1);
  assertEquals(r.handlers.count("disconnected"), 0);
});

Deno.test("EventFollower resumes an earlier run: not first, and without repeats", async () => {
  const known = {
    newestNano: ENGINE_EPOCH_NANO + 1_000e6,
    baselineNano: ENGINE_EPOCH_NANO,
    seen: [{ timeNano: ENGINE_EPOCH_NANO + 1_000e6, id: "a", action: "start" }],
  };
  await using r = await rig({ recall: (engineId) => engineId === "ENGINE-1" ? known : undefined });
  r.engine.nowNano += 60_000e6;
  r.engine.replay = [
    eventLine("create", "a", -900),
    eventLine("create", "b", 900),
    eventLine("start", "a", 1_000),
    eventLine("die", "a", 1_500),
  ];
  r.follower.start();
  await r.handlers.until("event die a");
  assertEquals(r.handlers.log, ["connected 0", "silent create a", "event create b", "event die a"]);
  assertEquals(r.engine.sinceAsked, [`${ENGINE_EPOCH_NANO / 1e9 - 1}.000000000`]);
});

Deno.test("EventFollower reports another engine, whose past is silent", async () => {
  await using r = await rig();
  r.follower.start();
  await r.handlers.until("connected");
  r.engine.engineId = "ENGINE-2";
  r.engine.nowNano += 60_000e6;
  r.engine.replay = [eventLine("start", "z", 59_000)];
  await r.engine.endStreams();
  await advanceUntil(r.clock, () => r.handlers.count("connected") === 2);
  await r.handlers.until("silent start z");
  assertEquals(r.handlers.infos.map(({ engineId, first }) => [engineId, first]), [
    ["ENGINE-1", true],
    ["ENGINE-2", false],
  ]);
});

Deno.test("EventFollower reconnects when too many events arrive before the list", async () => {
  await using r = await rig();
  const list = Promise.withResolvers<void>();
  r.engine.holdList = list.promise;
  r.follower.start();
  await advanceUntil(new FakeClock(), () => r.engine.openStreams === 1);
  const many = Array.from({ length: 1_000 }, (_, i) => eventLine("start", `c${i}`, i)).join("\n");
  for (let i = 0; i < 17; i++) await r.engine.say(many);
  await r.handlers.until("disconnected more than 16384 events");
  assertEquals(r.handlers.events.length, 0);
  list.resolve();
});

Deno.test("EventFollower reports a missing engine once, and connects when it starts", async () => {
  await using r = await rig({ withEngine: false });
  r.follower.start();
  await r.handlers.until("disconnected cannot reach the engine");
  await advanceUntil(r.clock, () => r.clock.now() > Date.UTC(2026, 0, 1) + 5_000);
  assertEquals(r.handlers.log.length, 1);
  await using _engine = new ScriptedEngine(r.socketPath);
  await advanceUntil(r.clock, () => r.handlers.count("connected 0 first") === 1, 1_000);
  await r.follower[Symbol.asyncDispose]();
});

Deno.test("EventFollower can be disposed in every state and leaves no timer", async (t) => {
  const states: [string, (r: Rig, held: Promise<void>) => Promise<void>][] = [
    ["before start", () => Promise.resolve()],
    ["right after start", (r) => Promise.resolve(r.follower.start())],
    ["waiting for the stream's headers", async (r, held) => {
      r.engine.holdStream = held;
      r.follower.start();
      await advanceUntil(new FakeClock(), () => r.engine.sinceAsked.length === 1);
    }],
    ["waiting for the list", async (r, held) => {
      r.engine.holdList = held;
      r.follower.start();
      await advanceUntil(new FakeClock(), () => r.engine.lists === 1);
    }],
    ["waiting for the replay", async (r) => {
      r.follower.start();
      await r.handlers.until("connected");
    }],
    ["reconciling", async (r) => {
      r.handlers.onReconcile = (_list, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      r.follower.start();
      await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 1);
    }],
    // Disposal comes in the turn in which the handler's promise resolves, before the follower has seen it.
    ["reconciling, with a handler that ends well", async (r) => {
      const reconciled = Promise.withResolvers<void>();
      r.handlers.onReconcile = () => reconciled.promise;
      r.follower.start();
      await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 1);
      reconciled.resolve();
    }],
    ["streaming", async (r) => {
      r.follower.start();
      await advanceUntil(r.clock, () => r.handlers.count("reconcile") === 1);
      await advanceUntil(r.clock, () => r.clock.pendingTimers === 2, 0);
    }],
    ["backing off", async (r) => {
      r.engine.failStreams = 1;
      r.follower.start();
      await r.handlers.until("disconnected");
    }],
  ];
  for (const [name, reach] of states) {
    await t.step(name, async () => {
      await using r = await rig();
      // The engine releases what it holds before it is disposed.
      const held = Promise.withResolvers<void>();
      using _release = { [Symbol.dispose]: () => held.resolve() };
      // A failure must not hang the next test: advance past every pending timer.
      using _pass = { [Symbol.dispose]: () => r.clock.advance(3_600_000) };
      await reach(r, held.promise);
      const before = r.handlers.log.length;
      await within(5_000, "disposal", r.follower[Symbol.asyncDispose]());
      await r.follower[Symbol.asyncDispose]();
      assertEquals(r.clock.pendingTimers, 0);
      assertEquals(r.handlers.log.length, before);
    });
  }
});
