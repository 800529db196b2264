/**
 * A Docker daemon of a test's own, apart from any other on the machine: its data, state and socket are in a temporary
 * directory, and it touches no network. It holds one image, `busybox:local`, made from the machine's static busybox.
 * Containers on it need `HostConfig: { NetworkMode: "none" }`. Disposal ends it by its own pid and leaves nothing.
 */
import { EngineClient } from "../../src/engine/engine_client.ts";
import { busyboxTar } from "./busybox_image.ts";
import { isInstalled, type OwnDaemon, ownDaemon } from "./own_daemon.ts";

export const BUSYBOX_IMAGE = "busybox:local";

/**
 * Whether a private dockerd can run here: it and busybox are installed, and we are root.
 * @throws when it can't and `APEX_REQUIRE_DOCKER=1` (as in CI) says that it must
 */
export async function dockerAvailable(): Promise<boolean> {
  const available = Deno.uid() === 0 && await isInstalled("dockerd") && await isInstalled("busybox");
  if (!available && Deno.env.get("APEX_REQUIRE_DOCKER") === "1") {
    throw new Error("APEX_REQUIRE_DOCKER=1, but dockerd or busybox is not installed, or this is not root");
  }
  return available;
}

export interface DockerEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly client: EngineClient;
  /** Ends dockerd; its containers go with it, its data stays. */
  stop(): Promise<void>;
  /** Starts it again on the same data and socket. */
  restart(): Promise<void>;
}

export async function startDocker(): Promise<DockerEngine> {
  await using stack = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
  stack.defer(() => Deno.remove(dir, { recursive: true }));
  stack.defer(() => unmountBelow(dir));
  stack.defer(() => endContainerd(`${dir}/exec/containerd/containerd.pid`));
  const socketPath = `${dir}/docker.sock`;
  const client = stack.use(new EngineClient({ socketPath }));
  const start = () =>
    ownDaemon({
      command: "dockerd",
      args: [
        ...["--data-root", `${dir}/data`, "--exec-root", `${dir}/exec`, "--pidfile", `${dir}/pid`],
        ...["--bridge=none", "--iptables=false", "--ip6tables=false", "-H", `unix://${socketPath}`],
      ],
      logPath: `${dir}/log`,
      isReady: () => client.ping(),
    });
  let daemon: OwnDaemon | undefined = await start();
  const stop = async () => {
    await daemon?.[Symbol.asyncDispose]();
    daemon = undefined;
  };
  stack.defer(stop);
  // Containers that are gone need not be stopped one by one, ten seconds each.
  stack.defer(async () => {
    if (daemon === undefined) return;
    for (const { Id } of await client.listContainers()) {
      const removed = await client.request("DELETE", `/containers/${Id}`, { query: { force: 1 } });
      await removed.body?.cancel();
    }
  });
  const imported = await client.request("POST", "/images/create", {
    query: { fromSrc: "-", repo: "busybox", tag: "local" },
    body: await busyboxTar(dir),
  });
  await imported.text();
  const owned = stack.move();
  return {
    socketPath,
    client,
    stop,
    restart: async () => void (daemon = await start()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** dockerd ends its containerd with itself, unless it was killed. */
async function endContainerd(pidPath: string): Promise<void> {
  try {
    Deno.kill(Number(await Deno.readTextFile(pidPath)), "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    // No such file, or no such process: it is gone, as it should be.
  }
}

/** What a daemon killed in the middle may leave: overlays and namespaces mounted below its directory. */
async function unmountBelow(dir: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mounts")).split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${dir}/`));
  for (const path of mounts.reverse()) {
    await new Deno.Command("umount", { args: ["-l", path], stderr: "null" }).output();
  }
}
