/** A name is used again while apex is disconnected from a real engine, which then forgets the events about it. */
import { assertEquals } from "@std/assert";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { RealBridge } from "../../support/containers/real_bridge.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { FaultProxy } from "../../support/engines/fault_proxy.ts";
import { TEST_ENGINES } from "../../support/engines/test_engines.ts";
import { TempDir } from "../../support/temp_dir.ts";

/** Each one gives two events; engines remember 256. */
const FORGOTTEN_AFTER = 150;
const AT_ONCE = 8;
const HOST_CONFIG = { NetworkMode: "none" };

for (const { name: engineName, ignore, start } of TEST_ENGINES) {
  Deno.test({
    name:
      `on ${engineName} the held end of a container is published before the next one of its name is found`,
    ignore,
    fn: async () => {
      await using dir = await TempDir.make();
      await using engine = await start(dir);
      using driver = new ContainerDriver(engine.socketPath);
      await using proxy = new FaultProxy(dir.join("proxy.sock"), engine.socketPath);
      using client = new EngineClient({ socketPath: proxy.socketPath });
      await using bridge = new RealBridge(client);
      await bridge.untilConnected();

      const old = await driver.create({
        name: "web",
        Cmd: ["sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done"],
        HostConfig: { ...HOST_CONFIG, AutoRemove: true },
      });
      await driver.start(old);
      await driver.untilLogged(old, "ready");
      // A stop begins like this, so the verdict is held.
      await driver.kill(old, { signal: "SIGTERM" });
      await driver.untilReported(old, "destroy");
      await driver.create({ name: "fence", HostConfig: HOST_CONFIG });
      await bridge.until("fence", 1);

      await proxy.refuse();
      await bridge.untilLost();
      await driver.start(await driver.create({ name: "web", HostConfig: HOST_CONFIG }));
      let left = FORGOTTEN_AFTER;
      const lane = async (): Promise<void> => {
        while (left-- > 0) {
          await driver.remove(await driver.create({ name: `other-${left}`, HostConfig: HOST_CONFIG }));
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
      proxy.accept();
      await bridge.until("web", 6);
      assertEquals(bridge.of("web"), [
        ...["created", "started", "died 3", "removed 3"],
        ...["created reconciled", "started reconciled"],
      ]);
    },
  });
}
