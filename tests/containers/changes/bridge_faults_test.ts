/**
 * The whole bridge behind a proxy that breaks the engine's stream: whatever happens on the way, each container's life is
 * published exactly once. Nothing here waits for time: what is published next, or compared next, is the fence.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import type { ContainerInspect } from "../../../src/engine/engine_types.ts";
import { RealBridge } from "../../support/containers/real_bridge.ts";
import { eventually } from "../../support/daemons/apex_process.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { FaultProxy, type StreamFault } from "../../support/engines/fault_proxy.ts";
import { TEST_ENGINES } from "../../support/engines/test_engines.ts";
import { TempDir } from "../../support/temp_dir.ts";

const hasDocker = await dockerAvailable();

/** Runs through all of the test. After each cut it is compared with the engine, so its inspects tell of comparisons. */
const WITNESS = "witness";

/** Tells of each inspect that has been answered. */
class WatchedClient extends EngineClient {
  onInspected: (container: ContainerInspect) => void = () => {};

  override async inspectContainer(id: string, signal?: AbortSignal): Promise<ContainerInspect> {
    const container = await super.inspectContainer(id, signal);
    this.onInspected(container);
    return container;
  }
}

/** A life: create, start, exit 3 when it is told to, remove. */
class Life {
  readonly name: string;
  readonly #driver: ContainerDriver;
  readonly #bridge: RealBridge;
  readonly #dir: string;
  #id = "";

  constructor(name: string, { driver, bridge, dir }: Rig) {
    this.name = name;
    this.#driver = driver;
    this.#bridge = bridge;
    this.#dir = dir.path;
  }

  async begin(): Promise<void> {
    const script = `until [ -e ${this.#dir}/${this.name} ]; do sleep 0.02; done; exit 3`;
    this.#id = await this.#driver.create({
      name: this.name,
      Cmd: ["sh", "-c", script],
      HostConfig: { NetworkMode: "none", Binds: [`${this.#dir}:${this.#dir}`] },
    });
    await this.#driver.start(this.#id);
  }

  async end(): Promise<void> {
    await Deno.writeTextFile(`${this.#dir}/${this.name}`, "");
    await this.#driver.wait(this.#id);
    await this.#driver.remove(this.#id);
  }

  /** Its start has been published. */
  async hasBegun(): Promise<void> {
    await this.#bridge.until(this.name, 2);
  }

  /** Its removal has been published, with all that goes before it. */
  async isOver(): Promise<void> {
    await this.#bridge.untilTrue(
      () => this.#bridge.of(this.name).some((event) => event.startsWith("removed")),
      `the removal of ${this.name}`,
      () => this.#bridge.of(this.name).join(", "),
    );
  }
}

interface Rig {
  readonly proxy: FaultProxy;
  readonly driver: ContainerDriver;
  readonly bridge: RealBridge;
  readonly dir: TempDir;
}

const STREAM_FAULTS: readonly StreamFault[] = [
  "cut_mid_line",
  "cut_half_chunk",
  "end_cleanly",
  "drop_next",
  "garbage",
];

interface Fault {
  readonly name: string;
  /** Lets it happen to the lives of these names, which have not begun; afterwards each of them is over. */
  readonly strike: (lives: readonly Life[], rig: Rig) => Promise<void>;
  /** How often the connection is lost by it. */
  readonly losses: number;
}

const FAULTS: readonly Fault[] = [
  ...STREAM_FAULTS.flatMap((fault): Fault[] => [
    {
      name: `${fault} at a creation`,
      strike: async (lives, { proxy }) => {
        proxy.breakNext(fault);
        await Promise.all(lives.map(async (life) => {
          await life.begin();
          await life.end();
        }));
      },
      losses: fault === "garbage" ? 0 : 1,
    },
    {
      name: `${fault} at an exit`,
      strike: async (lives, { proxy }) => {
        for (const life of lives) await life.begin();
        for (const life of lives) await life.hasBegun();
        proxy.breakNext(fault);
        await Promise.all(lives.map((life) => life.end()));
      },
      losses: fault === "garbage" ? 0 : 1,
    },
  ]),
  {
    name: "a cut, and a 500 to those who come back",
    strike: async (lives, { proxy }) => {
      for (const life of lives) await life.begin();
      for (const life of lives) await life.hasBegun();
      proxy.failStreams(3);
      proxy.breakNext("cut_half_chunk");
      await Promise.all(lives.map((life) => life.end()));
    },
    losses: 1,
  },
  {
    name: "refused for a while, in which one ends, one lives, and one begins",
    strike: async ([ends, lives, begins], { proxy, bridge }) => {
      await ends!.begin();
      await ends!.hasBegun();
      const losses = bridge.losses;
      await proxy.refuse();
      await bridge.untilLost(losses + 1);
      await ends!.end();
      await lives!.begin();
      await lives!.end();
      await begins!.begin();
      proxy.accept();
      await begins!.hasBegun();
      await begins!.end();
    },
    losses: 1,
  },
];

for (const { name: engineName, ignore, start } of TEST_ENGINES) {
  Deno.test({
    name: `the bridge on ${engineName} publishes each life exactly once over each fault`,
    ignore,
    fn: async (t) => {
      await using dir = await TempDir.make();
      await using engine = await start(dir);
      using driver = new ContainerDriver(engine.socketPath);
      const witness = await driver.create({ name: WITNESS, HostConfig: { NetworkMode: "none" } });
      await driver.start(witness);
      await using proxy = new FaultProxy(dir.join("proxy.sock"), engine.socketPath);
      using client = new WatchedClient({ socketPath: proxy.socketPath });
      await using bridge = new RealBridge(client);
      let comparisons = 0;
      client.onInspected = ({ Id }) => {
        if (Id === witness) comparisons++;
        bridge.wake();
      };
      await bridge.untilConnected();
      const rig: Rig = { proxy, driver, bridge, dir };
      const lived: string[] = [];

      for (const [index, fault] of FAULTS.entries()) {
        await t.step(fault.name, async () => {
          const lives = ["a", "b", "c"].map((letter) => new Life(`life-${index}-${letter}`, rig));
          const [lossesBefore, comparisonsBefore] = [bridge.losses, comparisons];
          await fault.strike(lives, rig);
          for (const life of lives) await life.isOver();
          // After a cut everything is compared, which is one more occasion to tell something twice.
          if (fault.losses > 0) {
            await bridge.untilTrue(() => comparisons > comparisonsBefore, "a comparison with the engine");
          }
          const fence = new Life(`fence-${index}`, rig);
          await fence.begin();
          await fence.end();
          await fence.isOver();
          lived.push(...[...lives, fence].map((life) => life.name));
          assertEquals(bridge.losses - lossesBefore, fault.losses);
          assertLivedOnce(bridge, lived);
        });
      }
      assert(proxy.hits >= FAULTS.length, `${proxy.hits} faults happened`);
      assertEquals(bridge.of(WITNESS), []);
    },
  });
}

/** Whether the stream told it or a comparison found it out is another matter. */
function assertLivedOnce(bridge: RealBridge, names: readonly string[]): void {
  for (const name of names) {
    const told = bridge.of(name).map((event) => event.replace(" reconciled", ""));
    assertEquals(told, ["created", "started", "died 3", "removed 3"], name);
  }
}

Deno.test({
  name: "the bridge tells each exit under a dead dockerd once, by comparing when that is back",
  ignore: !hasDocker,
  fn: async () => {
    await using dir = await TempDir.make();
    await using docker = await startDocker();
    using driver = new ContainerDriver(docker.socketPath);
    using client = new EngineClient({ socketPath: docker.socketPath });
    await using bridge = new RealBridge(client);
    await bridge.untilConnected();
    const exitCodes = [0, 3, 143];
    const nameOf = (exitCode: number): string => `exit-${exitCode}`;
    const ids: string[] = [];
    for (const exitCode of exitCodes) {
      // Its last words are on the host's side, where they can be read without dockerd.
      const script =
        `until [ -e ${dir.path}/go ]; do sleep 0.02; done; echo > ${dir.path}/${exitCode}; exit ${exitCode}`;
      const id = await driver.create({
        name: nameOf(exitCode),
        Cmd: ["sh", "-c", script],
        HostConfig: { NetworkMode: "none", Binds: [`${dir.path}:${dir.path}`] },
      });
      ids.push(id);
      await driver.start(id);
      await bridge.until(nameOf(exitCode), 2);
    }
    await docker.kill();
    await bridge.untilLost();
    await Deno.writeTextFile(dir.join("go"), "");
    for (const exitCode of exitCodes) {
      await eventually(() => exists(dir.join(String(exitCode))), `the end of ${nameOf(exitCode)}`);
    }
    await docker.restart();
    for (const exitCode of exitCodes) await bridge.until(nameOf(exitCode), 3);
    // What the stream tells after it is the fence.
    for (const id of ids) await driver.remove(id);
    for (const exitCode of exitCodes) {
      await bridge.until(nameOf(exitCode), 4);
      assertEquals(bridge.of(nameOf(exitCode)), [
        "created",
        "started",
        `died ${exitCode} reconciled`,
        `removed ${exitCode}`,
      ]);
    }
    assertEquals(bridge.losses, 1);
  },
});

Deno.test({
  name: "the bridge tells once of each container that a dockerd ends before it ends itself",
  ignore: !hasDocker,
  fn: async () => {
    await using docker = await startDocker();
    using driver = new ContainerDriver(docker.socketPath);
    using client = new EngineClient({ socketPath: docker.socketPath });
    await using bridge = new RealBridge(client);
    await bridge.untilConnected();
    const ends: readonly [name: string, trap: string, end: RegExp][] = [
      ["exits-0", "exit 0", /^(stopped 0 graceful|died 0 reconciled)$/],
      ["exits-7", "exit 7", /^(stopped 7 graceful|died 7 reconciled)$/],
      ["is-killed", "", /^(stopped 137|died 137 SIGKILL reconciled)$/],
    ];
    const ids: string[] = [];
    for (const [name, trap] of ends) {
      const id = await driver.create({
        name,
        Cmd: ["sh", "-c", `trap '${trap}' TERM; echo ready; while :; do sleep 0.02; done`],
        StopTimeout: 1,
        HostConfig: { NetworkMode: "none" },
      });
      ids.push(id);
      await driver.start(id);
      await driver.untilLogged(id, "ready");
      await bridge.until(name, 2);
    }
    await docker.stop();
    await bridge.untilLost();
    await docker.restart();
    for (const [name] of ends) await bridge.until(name, 3);
    for (const id of ids) await driver.remove(id);
    for (const [name, , end] of ends) {
      await bridge.until(name, 4);
      const [created, started, told = "", removed] = bridge.of(name);
      // Its stream may live long enough to tell of it, or not.
      assertMatch(told, end);
      assertEquals([created, started, removed], ["created", "started", `removed ${/\d+/.exec(told)}`]);
      assertEquals(bridge.of(name).length, 4);
    }
    assertEquals(bridge.losses, 1);
  },
});

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}
