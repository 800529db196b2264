/** Attach, and the part of the log that precedes it, on real engines. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type AttachConnection, attachContainer } from "../../src/engine/attach_connection.ts";
import type { EngineClient } from "../../src/engine/engine_client.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { readTtyTail, spliceTail } from "../../src/engine/logs/tty_log.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { dockerAvailable, type DockerEngine, startDocker } from "../support/engines/docker_engine.ts";
import { podmanAvailable, startPodman } from "../support/engines/podman_engine.ts";
import { within } from "../support/within.ts";

const ignore = !await dockerAvailable();
const TTY = { Tty: true, OpenStdin: true, HostConfig: { NetworkMode: "none" } };
const STEP_MS = 20_000;

async function attach(client: EngineClient, id: string, stdin = true): Promise<AttachConnection> {
  const { apiVersion } = await client.identify();
  return await attachContainer({ socketPath: client.socketPath, apiVersion, id, stdin });
}

/** Reads until the output ends with `ending`. Returns all of it. */
async function readUntil(connection: AttachConnection, ending: string): Promise<string> {
  const buffer = new Uint8Array(64 * 1024);
  let output = "";
  const reading = (async () => {
    while (!output.endsWith(ending)) {
      const count = await connection.read(buffer);
      assert(count !== null, `the output ended: ${output.slice(-300)}`);
      output += text(buffer.subarray(0, count));
    }
  })();
  await within(STEP_MS, `"${ending}" in the output`, reading);
  return output;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

async function type(connection: AttachConnection, keys: string | Uint8Array): Promise<void> {
  await connection.write(typeof keys === "string" ? new TextEncoder().encode(keys) : keys);
}

async function withDocker(
  test: (docker: DockerEngine, driver: ContainerDriver) => Promise<void>,
): Promise<void> {
  await using docker = await startDocker();
  using driver = new ContainerDriver(docker.socketPath);
  await test(docker, driver);
}

async function everyKeyArrives(driver: ContainerDriver): Promise<void> {
  const script = "busybox stty raw -echo; echo ready; exec cat -v";
  const id = await driver.create({ name: "keys", ...TTY, Cmd: ["sh", "-c", script] });
  using attached = await attach(driver.client, id);
  await driver.start(id);
  await readUntil(attached, "ready\n");
  // The engine's own detach keys first, then every byte that a terminal may send.
  await type(attached, "\x10\x11\n");
  await readUntil(attached, "^P^Q\n");
  await type(attached, "\x00\x03\x04\x1a\x1b[Aé\n");
  await readUntil(attached, "^@^C^D^Z^[[AM-CM-)\n");
  await type(attached, Uint8Array.of(0xff, 0x41, 0xff, 0xfe, 0x0a));
  await readUntil(attached, "M-^?AM-^?M-~\n");
  using second = await attach(driver.client, id, false);
  await type(attached, "both\n");
  await readUntil(attached, "both\n");
  await readUntil(second, "both\n");
  await driver.kill(id);
  assertEquals(await within(STEP_MS, "the output's end", attached.read(new Uint8Array(10))), null);
}

Deno.test({
  name: "an attached connection carries every key and all output, on Docker",
  ignore,
  fn: () => withDocker((_docker, driver) => everyKeyArrives(driver)),
});

Deno.test({
  name: "an attached connection carries every key and all output, on Podman",
  ignore: !await podmanAvailable(),
  fn: async () => {
    await using podman = await startPodman();
    using driver = new ContainerDriver(podman.socketPath, { image: podman.imageId });
    await everyKeyArrives(driver);
  },
});

Deno.test({
  name: "attachContainer() rejects when the container does not exist or is not running, on Docker",
  ignore,
  fn: () =>
    withDocker(async ({ client }, driver) => {
      const missing = await assertRejects(() => attach(client, "unknown"), EngineError);
      assertEquals([missing.code, missing.engineMessage], ["not_found", "No such container: unknown"]);
      const id = await driver.create({ name: "paused", ...TTY });
      await driver.start(id);
      await (await client.request("POST", `/containers/${id}/pause`)).body?.cancel();
      const paused = await assertRejects(() => attach(client, id), EngineError);
      assertEquals(paused.code, "conflict");
      assertStringIncludes(paused.message, "is paused");
    }),
});

Deno.test({
  name: "log and stream together lose and repeat nothing, on Docker",
  ignore,
  fn: () =>
    withDocker(async ({ client }, driver) => {
      // The script waits at its end, so that the stream has output however late it begins.
      const script = "busybox stty -echo; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; " +
        "read go; echo the end; exec cat";
      const expected = `${Array.from({ length: 20_000 }, (_, i) => `line ${i}\r\n`).join("")}the end\r\n`;
      for (let round = 0; round < 5; round++) {
        const id = await driver.create({ name: `lines${round}`, ...TTY, Cmd: ["sh", "-c", script] });
        await driver.start(id);
        await driver.untilLogged(id, `line ${round * 200}`);
        using attached = await attach(client, id);
        await type(attached, "go\n");
        const stream = new TextEncoder().encode(await readUntil(attached, "the end\r\n"));
        const joined = (async () => {
          while (true) {
            const log = await readTtyTail(client, id, { maxBytes: 1024 * 1024 });
            const before = spliceTail(log, stream);
            if (before !== undefined) return text(before) + text(stream);
          }
        })();
        assert(await within(STEP_MS, "the stream's start in the log", joined) === expected);
      }
    }),
});
