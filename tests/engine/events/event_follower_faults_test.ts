/**
 * Follows a real engine through a proxy that breaks the stream. With every fault, the delivered events are those that
 * the engine has recorded, in order, without gaps or repeats.
 */
import { assert, assertEquals } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { formatEngineTime, parseEngineTime } from "../../../src/engine/events/engine_time.ts";
import { EventFollower } from "../../../src/engine/events/event_follower.ts";
import { type EngineEvent, parseEngineEvent } from "../../../src/engine/events/event_stream.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { RecordingHandlers } from "../../support/daemons/recording_handlers.ts";
import { BUSYBOX_IMAGE, dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { removeContainer, runContainer, waitForExit } from "../../support/engines/engine_containers.ts";
import { FaultProxy, type StreamFault } from "../../support/engines/fault_proxy.ts";
import { TempDir } from "../../support/temp_dir.ts";

const hasDocker = await dockerAvailable();

const recordKey = ({ timeNano, action, id }: EngineEvent) => `${timeNano} ${action} ${id.slice(0, 8)}`;

/**
 * Requested up to a moment ahead, so that the reply ends by itself: the last event may have the same millisecond as the
 * engine's time, which a double holds only to 256 ns.
 */
const RECORD_AHEAD_NANO = 50e6;

/** The engine's own record of container events since `sinceNano`, without the exec events. */
async function engineRecord(client: EngineClient, sinceNano: number): Promise<string[]> {
  const until = parseEngineTime((await client.info()).SystemTime) ?? 0;
  const reply = await client.request("GET", "/events", {
    query: {
      since: formatEngineTime(sinceNano),
      until: formatEngineTime(until + RECORD_AHEAD_NANO),
      filters: { type: ["container"] },
    },
  });
  const events = (await reply.text()).split("\n").map((line) => parseEngineEvent(line));
  return events.filter((event) => event !== undefined).map(recordKey);
}

/** Runs one container: create, start, die, destroy. Returns its id. */
async function oneLife(client: EngineClient, image: string): Promise<string> {
  const id = await runContainer(client, { image, cmd: ["sh", "-c", "exit 3"] });
  await waitForExit(client, id);
  await removeContainer(client, id);
  return id;
}

/** The parts of an engine that the test needs: its socket, and a client that bypasses the proxy. */
interface Subject extends AsyncDisposable {
  readonly socketPath: string;
  readonly client: EngineClient;
}

async function startEmbedded(): Promise<Subject> {
  const engine = await TestEngine.start();
  const client = new EngineClient({ socketPath: engine.socketPath });
  return {
    socketPath: engine.socketPath,
    client,
    [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      return engine[Symbol.asyncDispose]();
    },
  };
}

const ENGINES: readonly { name: string; ignore: boolean; start: () => Promise<Subject> }[] = [
  { name: "the embedded engine", ignore: false, start: startEmbedded },
  { name: "dockerd", ignore: !hasDocker, start: startDocker },
];

/** A followed engine behind a proxy, with the first connection established. */
class Followed implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;

  private constructor(
    stack: AsyncDisposableStack,
    readonly engine: Subject,
    readonly proxy: FaultProxy,
    readonly handlers: RecordingHandlers,
    readonly follower: EventFollower,
  ) {
    this.#stack = stack;
  }

  static async start(startEngine: () => Promise<Subject>): Promise<Followed> {
    await using stack = new AsyncDisposableStack();
    const engine = stack.use(await startEngine());
    const temp = stack.use(await TempDir.make());
    const proxy = stack.use(new FaultProxy(temp.join("p.sock"), engine.socketPath));
    const client = stack.use(new EngineClient({ socketPath: proxy.socketPath }));
    const handlers = new RecordingHandlers();
    const follower = stack.use(
      new EventFollower({ client, handlers, clock: systemClock, logger: silentLogger, random: () => 0 }),
    );
    follower.start();
    await handlers.until("connected");
    return new Followed(stack.move(), engine, proxy, handlers, follower);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

for (const { name: engineName, ignore, start } of ENGINES) {
  Deno.test({
    name: `EventFollower on ${engineName} loses and repeats nothing with each fault`,
    ignore,
    fn: async (t) => {
      await using followed = await Followed.start(start);
      const { engine, proxy, handlers, follower } = followed;
      const sinceNano = follower.lastEngineTimeNano!;

      const faults: [string, (() => Promise<void> | void), losses: number][] = [
        ...(["cut_mid_line", "cut_half_chunk", "end_cleanly", "drop_next"] as StreamFault[]).map((fault) =>
          [fault, () => proxy.breakNext(fault), 1] as [string, () => void, number]
        ),
        ["garbage", () => proxy.breakNext("garbage"), 0],
        ["a 500 after a cut", () => {
          proxy.failStreams(2);
          proxy.breakNext("cut_half_chunk");
        }, 1],
        ["refused for a while", async () => {
          await proxy.refuse();
          await handlers.untilTrue(() => handlers.log.at(-1)?.startsWith("disconnected") === true);
          await oneLife(engine.client, BUSYBOX_IMAGE);
          proxy.accept();
        }, 1],
      ];
      for (const [name, strike, losses] of faults) {
        await t.step(name, async () => {
          // Only a connection that has lasted (replay and reconcile done) resets the backoff. Otherwise each fault
          // would wait twice as long as the one before.
          await handlers.until("reconcile", handlers.count("connected"));
          const before = handlers.count("disconnected");
          await strike();
          const first = await oneLife(engine.client, BUSYBOX_IMAGE);
          await handlers.until(`event destroy ${first}`);
          // The events after the fault prove that the stream continues, and are the fence for repeats.
          const fence = await oneLife(engine.client, BUSYBOX_IMAGE);
          await handlers.until(`event destroy ${fence}`);
          assertEquals(handlers.count("disconnected") - before, losses);
          assertEquals(handlers.events.map(recordKey), await engineRecord(engine.client, sinceNano));
        });
      }
      assert(proxy.hits >= 7, `${proxy.hits} faults happened`);
    },
  });
}

/** Concurrent containers: enough to soon exceed the engine's memory of 256 events. */
const LANES = 12;

for (
  const { name: engineName, ignore, start, lives } of [
    { ...ENGINES[0]!, lives: 400 },
    { ...ENGINES[1]!, lives: 150 },
  ]
) {
  Deno.test({
    name:
      `EventFollower on ${engineName} loses no exit of ${lives} short containers when it is disconnected repeatedly`,
    ignore,
    fn: async () => {
      await using followed = await Followed.start(start);
      const { engine, proxy, handlers } = followed;
      const ids: string[] = [];
      let started = 0;
      let cuts = 0;
      const lane = async (): Promise<void> => {
        while (started < lives) {
          // An attempt that is cut before it is established counts as failed, so backoff follows.
          const isConnected = handlers.count("connected") > handlers.count("disconnected");
          if (++started > cuts * lives / 50 && isConnected) {
            cuts++;
            proxy.breakNext("cut_half_chunk");
          }
          ids.push(await oneLife(engine.client, BUSYBOX_IMAGE));
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      const fence = await oneLife(engine.client, BUSYBOX_IMAGE);
      await handlers.until(`event destroy ${fence}`);
      const ends = handlers.events.filter(({ action }) => action === "die").map(({ id }) => id);
      assertEquals(ends.sort(), [...ids, fence].sort());
      assert(proxy.hits >= 15, `${proxy.hits} cuts happened`);
    },
  });
}

Deno.test({
  name: "EventFollower reconnects to a restarted dockerd, and reconciles with its list",
  ignore: !hasDocker,
  fn: async () => {
    await using docker = await startDocker();
    using client = new EngineClient({ socketPath: docker.socketPath });
    const handlers = new RecordingHandlers();
    await using follower = new EventFollower({
      client,
      handlers,
      clock: systemClock,
      logger: silentLogger,
      random: () => 0,
    });
    const id = await runContainer(docker.client, { image: BUSYBOX_IMAGE, cmd: ["sh", "-c", "exit 3"] });
    await waitForExit(docker.client, id);
    follower.start();
    await handlers.until("connected 1 first");
    await docker.stop();
    await handlers.until("disconnected");
    await docker.restart();
    await handlers.until("connected 1", 2);
    await handlers.until("reconcile 1", 1);
    assertEquals(handlers.infos[0]?.engineId, handlers.infos[1]?.engineId);
    assertEquals(handlers.infos[1]?.containers[0]?.State, "exited");
  },
});
