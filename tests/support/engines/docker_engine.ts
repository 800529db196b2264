/**
 * A private Docker daemon for a test. Its data, state and socket are in a temporary directory, and it sets up no network. It
 * has one image, `busybox:local`, made from the machine's static busybox. Its containers need
 * `HostConfig: { NetworkMode: "none" }`. Disposal ends it by its pid and removes everything.
 */
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { isInstalled, type OwnDaemon, ownDaemon } from "../daemons/own_daemon.ts";
import { within } from "../within.ts";
import { busyboxTar } from "./busybox_image.ts";

export const BUSYBOX_IMAGE = "busybox:local";

/**
 * Returns whether a private dockerd can run: dockerd and busybox are installed, and the tests run as root.
 * @throws when it cannot, and `APEX_REQUIRE_DOCKER=1` (as in CI) requires it
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
  /** Stops dockerd and, unless `liveRestore` is set, its containers. Its data remains. */
  stop(): Promise<void>;
  /** Kills dockerd. Its containers keep running. */
  kill(): Promise<void>;
  /** Starts dockerd again with the same data and socket. */
  restart(): Promise<void>;
}

/**
 * @param options.liveRestore containers keep running when dockerd is stopped
 * @param options.args further arguments for dockerd
 */
export async function startDocker(
  options: { readonly liveRestore?: boolean; readonly args?: readonly string[] } = {},
): Promise<DockerEngine> {
  await using stack = new AsyncDisposableStack();
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "apx-" });
  stack.defer(() => Deno.remove(dir, { recursive: true }));
  stack.defer(() => unmountBelow(dir));
  stack.defer(() => endProcessesBelow(`${dir}/exec`));
  const socketPath = `${dir}/docker.sock`;
  const client = stack.use(new EngineClient({ socketPath }));
  const start = () =>
    ownDaemon({
      command: "dockerd",
      args: [
        ...["--data-root", `${dir}/data`, "--exec-root", `${dir}/exec`, "--pidfile", `${dir}/pid`],
        ...["--bridge=none", "--iptables=false", "--ip6tables=false", "-H", `unix://${socketPath}`],
        ...(options.liveRestore === true ? ["--live-restore"] : []),
        ...(options.args ?? []),
      ],
      logPath: `${dir}/log`,
      isReady: (signal) => client.ping(signal),
    });
  let daemon: OwnDaemon | undefined = await start();
  const stop = async () => {
    await daemon?.[Symbol.asyncDispose]();
    daemon = undefined;
  };
  const kill = async () => {
    await daemon?.kill();
    daemon = undefined;
    // Its containerd ends with it. But until that is reaped, the next dockerd would take its pid for a running containerd.
    await Deno.remove(`${dir}/exec/containerd/containerd.pid`);
  };
  stack.defer(stop);
  // dockerd would stop the remaining containers one by one, for ten seconds each.
  stack.defer(async () => {
    if (daemon === undefined) return;
    for (const { Id } of await client.listContainers()) {
      try {
        const removed = await client.request("DELETE", `/containers/${Id}`, { query: { force: 1 } });
        await removed.body?.cancel();
      } catch (error) {
        // The daemon is already removing the container, or has removed it.
        if (!(error instanceof EngineError && error.status !== undefined)) throw error;
      }
    }
  });
  const imported = await client.request("POST", "/images/create", {
    query: { fromSrc: "-", repo: "busybox", tag: "local" },
    body: await busyboxTar(dir),
  });
  await within(30_000, "dockerd's import of the image", imported.text());
  const owned = stack.move();
  return {
    socketPath,
    client,
    stop,
    kill,
    restart: async () => void (daemon = await start()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Ends the containerd and the shims of a dockerd that was killed. Their command lines contain the directory, which only this
 * engine uses.
 */
async function endProcessesBelow(execRoot: string): Promise<void> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const commandLine = await Deno.readTextFile(`/proc/${name}/cmdline`);
      if (commandLine.includes(`${execRoot}/`)) Deno.kill(Number(name), "SIGKILL");
    } catch (error) {
      if (!hasEnded(error)) throw error;
    }
  }
}

/** Whether the process has ended in the meantime: its directory does not exist, or reading its file fails. */
function hasEnded(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    (error instanceof Error && /ESRCH|no such process/i.test(error.message));
}

/** Unmounts overlays and namespaces that a killed daemon may have left mounted below its directory. */
async function unmountBelow(dir: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mounts")).split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${dir}/`));
  for (const path of mounts.reverse()) {
    const umount = new Deno.Command("umount", { args: ["-l", path], stderr: "null" });
    await within(10_000, `umount -l ${path}`, umount.output());
  }
}
