import { assertEquals } from "@std/assert";
import { findLogStart, readContainerLogs } from "../../../src/engine/logs/container_logs.ts";
import { systemClock as clock } from "../../../src/platform/clock.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { TestEngine } from "../../support/engines/embedded_engine.ts";
import { podmanAvailable, startPodman } from "../../support/engines/podman_engine.ts";

const ENGINES = [
  { name: "the embedded engine", ignore: false, start: () => TestEngine.start() },
  { name: "real Docker", ignore: !await dockerAvailable(), start: () => startDocker() },
  { name: "real Podman", ignore: !await podmanAvailable(), start: () => startPodman() },
];

for (const { name, ignore, start } of ENGINES) {
  Deno.test({
    name: `findLogStart() finds the last lines on ${name}, also after more output`,
    ignore,
    fn: async () => {
      await using engine = await start();
      using driver = new ContainerDriver(engine.socketPath);
      const { client } = driver;
      const write = async (from: number, to: number): Promise<string> => {
        const written = await driver.create({
          name: `writes-${from}-${to}`,
          Image: "busybox:local",
          Cmd: ["sh", "-c", `seq ${from} ${to}`],
          HostConfig: { NetworkMode: "none" },
        });
        await driver.start(written);
        await driver.wait(written);
        return written;
      };
      const read = async (written: string, start: string | undefined): Promise<string> => {
        let text = "";
        const options = { id: written, clock, ...(start !== undefined && { start }) };
        for await (const { bytes } of readContainerLogs(client, options)) {
          text += new TextDecoder().decode(bytes);
        }
        return text;
      };
      const ten = await write(1, 10);
      const lastThree = await findLogStart(client, { id: ten, clock, tail: 3 });
      if (name === "real Podman") return assertEquals(lastThree, undefined);
      assertEquals(await read(ten, lastThree), "8\n9\n10\n");
      const none = await findLogStart(client, { id: ten, clock, tail: 0 });
      assertEquals(await read(ten, none), "");
      // A second run appends to the log.
      await driver.start(ten);
      await driver.wait(ten);
      assertEquals(await read(ten, none), "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
      const silent = await write(1, 0);
      assertEquals(await findLogStart(client, { id: silent, clock, tail: 3 }), "0.000000000");
    },
  });
}
