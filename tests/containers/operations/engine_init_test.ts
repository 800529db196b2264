/** Containers with an init, on engines with and without one. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { ContainerSpec } from "../../../src/containers/operations/container_spec.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { OperatedManager } from "../../support/containers/operated_manager.ts";
import { isInstalled } from "../../support/daemons/own_daemon.ts";
import { dockerAvailable, startDocker } from "../../support/engines/docker_engine.ts";
import { podmanAvailable, startPodman } from "../../support/engines/podman_engine.ts";

/** Runs a container to its end. Returns whether it had an init, and its exit code. */
async function runWith(
  { manager }: OperatedManager,
  spec: Pick<ContainerSpec, "image" | "init">,
): Promise<[boolean, number]> {
  const { id } = await manager.create({ ...spec, cmd: ["sh", "-c", "exit 3"], network: "none" });
  const { HostConfig } = await manager.inspect(id) as unknown as { HostConfig: { Init?: boolean } };
  await manager.start(id);
  const { exitCode } = await manager.wait(id);
  return [HostConfig.Init ?? false, exitCode ?? -1];
}

const image = "busybox:local";

Deno.test({
  name: "create() uses Docker's init, and none where it cannot be run",
  ignore: !await dockerAvailable() || !await isInstalled("docker-init"),
  async fn() {
    {
      await using docker = await startDocker();
      await using operated = await OperatedManager.on(docker.socketPath);
      assertEquals(await runWith(operated, { image, init: "if-available" }), [true, 3]);
      assertEquals(await runWith(operated, { image, init: false }), [false, 3]);
    }
    await using docker = await startDocker({ args: ["--init-path", "/no/such/init"] });
    await using operated = await OperatedManager.on(docker.socketPath);
    assertEquals(await runWith(operated, { image, init: "if-available" }), [false, 3]);
    const error = await assertRejects(() => runWith(operated, { image, init: true }), ApexError);
    assertStringIncludes(error.message, "/no/such/init");
  },
});

Deno.test({
  name: "create() uses no init if Podman has none",
  ignore: !await podmanAvailable() || await isInstalled("catatonit"),
  async fn() {
    await using podman = await startPodman();
    await using operated = await OperatedManager.on(podman.socketPath);
    const { imageId: image } = podman;
    assertEquals(await runWith(operated, { image, init: "if-available" }), [false, 3]);
    assertEquals(await runWith(operated, { image, init: "if-available" }), [false, 3]);
    assertEquals(operated.failures, []);
    await assertRejects(() => runWith(operated, { image, init: true }), ApexError);
  },
});
