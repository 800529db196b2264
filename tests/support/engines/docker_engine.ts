/**
 * A Docker daemon of a test's own, apart from any other on the machine: its data, state and socket are in a temporary
 * directory, and it touches no network. It holds one image, `busybox:local`, made from the machine's static busybox.
 * Containers on it need `HostConfig: { NetworkMode: "none" }`. Disposal ends it by its own pid and leaves nothing.
 */
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { EngineError } from "../../../src/engine/http/engine_error.ts";
import { isInstalled, type OwnDaemon, ownDaemon } from "../daemons/own_daemon.ts";
import { within } from "../within.ts";
import { busyboxTar } from "./busybox_image.ts";

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
  /** Ends dockerd; its containers go with it (but for `liveRestore`), its data stays. */
  stop(): Promise<void>;
  /** Kills dockerd; its containers live on without it. */
  kill(): Promise<void>;
  /** Starts it again on the same data and socket. */
  restart(): Promise<void>;
}

/**
 * @param options.liveRestore its containers outlive it also when it is ended in order
 * @param options.args further ones, for dockerd
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
    // Its containerd dies of that, but a next dockerd takes the number in here for a living one while nobody reaps it.
    await Deno.remove(`${dir}/exec/containerd/containerd.pid`);
  };
  stack.defer(stop);
  // Containers that are gone need not be stopped one by one, ten seconds each.
  stack.defer(async () => {
    if (daemon === undefined) return;
    for (const { Id } of await client.listContainers()) {
      try {
        const removed = await client.request("DELETE", `/containers/${Id}`, { query: { force: 1 } });
        await removed.body?.cancel();
      } catch (error) {
        // What a daemon was still removing, or has removed since.
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
 * dockerd ends its containerd and their shims with itself, unless it was killed. They are known by the directory, which
 * is this engine's alone, in their command lines.
 */
async function endProcessesBelow(execRoot: string): Promise<void> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const commandLine = await Deno.readTextFile(`/proc/${name}/cmdline`);
      if (commandLine.includes(`${execRoot}/`)) Deno.kill(Number(name), "SIGKILL");
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}

/** A process ended between two looks at it: no directory of it, or no such process while its file is read. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound ||
    (error instanceof Error && /ESRCH|no such process/i.test(error.message));
}

/** What a daemon killed in the middle may leave: overlays and namespaces mounted below its directory. */
async function unmountBelow(dir: string): Promise<void> {
  const mounts = (await Deno.readTextFile("/proc/self/mounts")).split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${dir}/`));
  for (const path of mounts.reverse()) {
    const umount = new Deno.Command("umount", { args: ["-l", path], stderr: "null" });
    await within(10_000, `umount -l ${path}`, umount.output());
  }
}
