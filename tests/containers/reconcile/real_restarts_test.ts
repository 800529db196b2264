/** dockerd restarts repeatedly while hundreds of containers exit: each exit is published once. */
import { assert, assertEquals } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { RealBridge } from "../../support/containers/real_bridge.ts";
import { eventually } from "../../support/daemons/apex_process.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { soakCount } from "../../support/soak.ts";
import { TempDir } from "../../support/temp_dir.ts";

const CONTAINERS = soakCount({ usual: 60, soak: 200 });
/** dockerd is restarted once per round: killed and shut down in turns. */
const ROUNDS = soakCount({ usual: 3, soak: 10 });
/** More concurrent requests only make each of them slower. */
const AT_ONCE = 8;

/** The exit code that dockerd reports for a container that exited while dockerd went down. */
const LOST_BY_ENGINE = 255;
const MAX_LOST_BY_ENGINE = 10;

/** A container that exits with a unique code when a file appears. */
interface Exiting {
  readonly name: string;
  readonly code: number;
  readonly id: string;
}

Deno.test({
  name: `${CONTAINERS} exits amid ${ROUNDS} restarts of dockerd are published once each, with their codes`,
  ignore: !await dockerAvailable(),
  fn: async () => {
    await using dir = await TempDir.make();
    await using docker = await startDocker({ liveRestore: true });
    using driver = new ContainerDriver(docker.socketPath);
    using client = new EngineClient({ socketPath: docker.socketPath });
    await using bridge = new RealBridge(client);
    await bridge.untilConnected();

    const begin = async (code: number): Promise<Exiting> => {
      const name = `exit-${code}`;
      const script =
        `until [ -e ${dir.path}/go-${code} ]; do sleep 0.05; done; echo > ${dir.path}/exited-${code}; exit ${code}`;
      const id = await driver.create({
        name,
        Cmd: ["sh", "-c", script],
        HostConfig: { NetworkMode: "none", Binds: [`${dir.path}:${dir.path}`] },
      });
      await driver.start(id);
      await bridge.until(name, 2);
      return { name, code, id };
    };
    const release = async (container: Exiting): Promise<void> => {
      await Deno.writeTextFile(dir.join(`go-${container.code}`), "");
    };
    /** The containers write files on the host, which show their exits while dockerd is down. */
    const haveExited = async (containers: readonly Exiting[]): Promise<void> => {
      for (const { name, code } of containers) {
        await eventually(() => exists(dir.join(`exited-${code}`)), `the end of ${name}`);
      }
    };

    const ended: (Exiting & { readonly isFence: boolean; readonly engineSays: number })[] = [];
    const perRound = CONTAINERS / ROUNDS;
    for (let round = 0; round < ROUNDS; round++) {
      const codes = Array.from({ length: perRound }, (_, index) => round * perRound + index);
      const containers = await inLanes(codes, begin);
      const [before, whileDown, after] = [0, 1, 2].map((part) =>
        containers.filter((_, index) => index % 3 === part)
      );
      await Promise.all(before!.map(release));
      await (round % 2 === 0 ? docker.kill() : docker.stop());
      await bridge.untilLost(round + 1);
      await Promise.all(whileDown!.map(release));
      await haveExited(whileDown!);
      await docker.restart();
      await Promise.all(after!.map(release));
      for (const { name } of containers) await bridge.until(name, 3);
      for (const container of containers) {
        const isFence = container === containers.at(-1);
        ended.push({ ...container, isFence, engineSays: await driver.wait(container.id) });
      }
      // The removal, which the stream reports, is the fence.
      const { name, id } = containers.at(-1)!;
      await driver.remove(id);
      await bridge.until(name, 4);
    }
    let lost = 0;
    for (const { name, code, isFence, engineSays } of ended) {
      assert(engineSays === code || engineSays === LOST_BY_ENGINE, `${name} ended with ${engineSays}`);
      // Ignores whether the stream or a comparison found an exit, and which signal its code may stand for.
      const published = bridge.of(name).map((event) =>
        event.replace(" reconciled", "").replace(/ SIG[A-Z]+/, "")
      );
      // dockerd may have reported the right code before it lost it.
      const said = published.includes(`died ${code}`) ? code : engineSays;
      const removed = isFence ? [`removed ${said}`] : [];
      assertEquals(published, ["created", "started", `died ${said}`, ...removed], name);
      if (said !== code) lost++;
    }
    assert(lost <= MAX_LOST_BY_ENGINE, `${lost} codes were lost`);
    assertEquals(bridge.losses, ROUNDS);
  },
});

/** Does the work for all items, a few concurrently. Returns the results in order. */
async function inLanes<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return results;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}
