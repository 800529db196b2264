/**
 * A Podman API service of a test's own, with storage and socket in a temporary directory. It holds one image, to be
 * named by `imageId` (its name differs between Podman and the compatible API). Containers need `NetworkMode: "none"`.
 */
import { delay } from "@std/async/delay";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { isInstalled, ownDaemon } from "../daemons/own_daemon.ts";
import { within } from "../within.ts";
import { busyboxTar } from "./busybox_image.ts";

/**
 * Whether it can run here.
 * @throws when it can't and `APEX_REQUIRE_PODMAN=1` says that it must
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

/** What lets Podman 4.3 run inside an unprivileged virtual machine: no raised limits, runc, events in a file. */
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
    // Not only it may hold its outputs open: what it starts for its containers does so too.
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

/** What Podman starts at a container's end may still unmount, and write, when `rm` is through. */
async function removeWhenFree(dir: string): Promise<void> {
  while (true) {
    try {
      return await Deno.remove(dir, { recursive: true });
    } catch (error) {
      // Busy, or not empty.
      if (!/\(os error (16|39)\)/.test(String(error))) throw error;
      await delay(50);
    }
  }
}
