/**
 * The whole bridge behind a proxy that breaks the engine's stream: every event of a container is published exactly once.
 * The tests do not sleep: they wait for the next published event, or for the next comparison.
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

/** Runs for the whole test. Each comparison with the engine inspects it, so its inspects count comparisons. */
const WITNESS = "witness";

/** Reports each inspect that has been answered. */
class WatchedClient extends EngineClient {
  onInspected: (container: ContainerInspect) => void = () => {};

  override async inspectContainer(id: string, abort?: AbortSignal): Promise<ContainerInspect> {
    const container = await super.inspectContainer(id, abort);
    this.onInspected(container);
    return container;
  }
}

/** A container that is created and started, exits with 3 when a file appears, and is removed. */
class BridgedContainer {
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

  /** Waits until its start has been published. */
  async begun(): Promise<void> {
    await this.#bridge.until(this.name, 2);
  }

  /** Waits until its removal, and so everything before it, has been published. */
  async over(): Promise<void> {
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
  /** Runs the containers, which do not exist yet, from creation to removal, while the stream breaks. */
  readonly strike: (containers: readonly BridgedContainer[], rig: Rig) => Promise<void>;
  /** The number of lost connections. */
  readonly losses: number;
}

const FAULTS: readonly Fault[] = [
  ...STREAM_FAULTS.flatMap((fault): Fault[] => [
    {
      name: `${fault} at a creation`,
      strike: async (containers, { proxy }) => {
        proxy.breakNext(fault);
        await Promise.all(containers.map(async (container) => {
          await container.begin();
          await container.end();
        }));
      },
      losses: fault === "garbage" ? 0 : 1,
    },
    {
      name: `${fault} at an exit`,
      strike: async (containers, { proxy }) => {
        for (const container of containers) await container.begin();
        for (const container of containers) await container.begun();
        proxy.breakNext(fault);
        await Promise.all(containers.map((container) => container.end()));
      },
      losses: fault === "garbage" ? 0 : 1,
    },
  ]),
  {
    name: "a cut, and a 500 for the next connections",
    strike: async (containers, { proxy }) => {
      for (const container of containers) await container.begin();
      for (const container of containers) await container.begun();
      proxy.failStreams(3);
      proxy.breakNext("cut_half_chunk");
      await Promise.all(containers.map((container) => container.end()));
    },
    losses: 1,
  },
  {
    name: "connections are refused while one container ends, one is run, and one begins",
    strike: async ([ends, whole, begins], { proxy, bridge }) => {
      await ends!.begin();
      await ends!.begun();
      const losses = bridge.losses;
      await proxy.refuse();
      await bridge.untilLost(losses + 1);
      await ends!.end();
      await whole!.begin();
      await whole!.end();
      await begins!.begin();
      proxy.accept();
      await begins!.begun();
      await begins!.end();
    },
    losses: 1,
  },
];

for (const { name: engineName, ignore, start } of TEST_ENGINES) {
  Deno.test({
    name: `the bridge on ${engineName} publishes each event of a container exactly once despite each fault`,
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
      const names: string[] = [];

      for (const [index, fault] of FAULTS.entries()) {
        await t.step(fault.name, async () => {
          const containers = ["a", "b", "c"].map((letter) =>
            new BridgedContainer(`container-${index}-${letter}`, rig)
          );
          const [lossesBefore, comparisonsBefore] = [bridge.losses, comparisons];
          await fault.strike(containers, rig);
          for (const container of containers) await container.over();
          // After a cut apex compares everything, and might publish a change for the second time.
          if (fault.losses > 0) {
            await bridge.untilTrue(() => comparisons > comparisonsBefore, "a comparison with the engine");
          }
          const fence = new BridgedContainer(`fence-${index}`, rig);
          await fence.begin();
          await fence.end();
          await fence.over();
          names.push(...[...containers, fence].map((container) => container.name));
          assertEquals(bridge.losses - lossesBefore, fault.losses);
          assertPublishedOnce(bridge, names);
        });
      }
      assert(proxy.hits >= FAULTS.length, `${proxy.hits} faults happened`);
      assertEquals(bridge.of(WITNESS), []);
    },
  });
}

/** Ignores whether the stream reported a change or a comparison found it. */
function assertPublishedOnce(bridge: RealBridge, names: readonly string[]): void {
  for (const name of names) {
    const published = bridge.of(name).map((event) => event.replace(" reconciled", ""));
    assertEquals(published, ["created", "started", "died 3", "removed 3"], name);
  }
}

Deno.test({
  name: "the bridge publishes each exit under a dead dockerd once, by a comparison when dockerd is back",
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
      // The container writes a file on the host, which shows its exit while dockerd is down.
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
    // The removals, which the stream reports, are the fence.
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
  name: "the bridge publishes each exit once when a dockerd that shuts down ends the containers",
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
      const [created, started, exit = "", removed] = bridge.of(name);
      // The stream may or may not last long enough to report it.
      assertMatch(exit, end);
      assertEquals([created, started, removed], ["created", "started", `removed ${/\d+/.exec(exit)}`]);
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
