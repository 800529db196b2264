/**
 * A private Podman API service for a test, with its storage and socket in a temporary directory. It has one image, which must
 * be named by `imageId`, because its name differs between Podman and the compatible API. Its containers need
 * `NetworkMode: "none"`.
 */
import { delay } from "@std/async/delay";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { isInstalled, ownDaemon } from "../daemons/own_daemon.ts";
import { within } from "../within.ts";
import { busyboxTar } from "./busybox_image.ts";

/**
 * Returns whether a private Podman can run: podman, runc and busybox are installed, and the tests run as root.
 * @throws when it cannot, and `APEX_REQUIRE_PODMAN=1` requires it
 */
export async function podmanAvailable(): Promise<boolean> {
  const available = Deno.uid() === 0 && await isInstalled("podman") && await isInstalled("runc") &&
    await isInstalled("busybox");
  if (!available && Deno.env.get("APEX_REQUIRE_PODMAN") === "1") {
    throw new Error(
      "APEX_REQUIRE_PODMAN=1, but podman, runc or busybox is not installed, or this is not root",
    );
  }
  return available;
}

export interface PodmanEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly client: EngineClient;
  readonly imageId: string;
}

const REMOVED_WITHIN_MS = 20_000;

/** A configuration for unprivileged virtual machines: limits are not raised, the runtime is runc, events are in a file. */
const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
events_logger = "file"
`;

export async function startPodman(): Promise<PodmanEngine> {
  await using stack = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
  const env = { CONTAINERS_CONF: `${dir}/containers.conf`, TMPDIR: dir };
  const where = ["--root", `${dir}/root`, "--runroot", `${dir}/run`, "--tmpdir", `${dir}/tmp`];
  const podman = async (...args: string[]): Promise<string> => {
    const command = new Deno.Command("podman", { args: [...where, ...args], env });
    // Processes that podman starts for its containers may keep its outputs open.
    const result = await within(60_000, `podman ${args.join(" ")}`, command.output());
    if (!result.success) {
      throw new Error(`podman ${args[0]} failed: ${new TextDecoder().decode(result.stderr)}`);
    }
    return new TextDecoder().decode(result.stdout).trim();
  };
  await Deno.writeTextFile(env.CONTAINERS_CONF, CONTAINERS_CONF);
  stack.defer(() => within(REMOVED_WITHIN_MS, `the removal of ${dir}`, removeWhenFree(dir)));
  stack.defer(async () => void await podman("rm", "--all", "--force", "--time", "0"));
  await Deno.writeFile(`${dir}/busybox.tar`, await busyboxTar(dir));
  const imageId = (await podman("import", "--quiet", `${dir}/busybox.tar`, "busybox:local")).split("\n").at(
    -1,
  )!;
  const socketPath = `${dir}/podman.sock`;
  const client = stack.use(new EngineClient({ socketPath }));
  stack.use(
    await ownDaemon({
      command: "podman",
      args: [...where, "system", "service", "--time=0", `unix://${socketPath}`],
      env,
      logPath: `${dir}/log`,
      isReady: (signal) => client.ping(signal),
    }),
  );
  const owned = stack.move();
  return { socketPath, client, imageId, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * Processes that Podman starts at a container's end may still unmount and write after `rm` has returned. If two of them overlap,
 * one may leave its mount of the storage behind (seen on 4.3.1).
 */
async function removeWhenFree(dir: string): Promise<void> {
  while (true) {
    try {
      return await Deno.remove(dir, { recursive: true });
    } catch (error) {
      // The directory is busy or not empty.
      if (!/\(os error (16|39)\)/.test(String(error))) throw error;
      await new Deno.Command("umount", { args: [`${dir}/root/overlay`], stderr: "null" }).output();
      await delay(50);
    }
  }
}
