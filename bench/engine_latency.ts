/**
 * Compares the latency of `apex events` and `docker events`, for the same events of one dockerd. The age of a line is its
 * arrival minus the engine's time of the event.
 *
 * The same is then measured with a bare relay and copy in place of apex. The path of `docker events` has one process less,
 * because it has no daemon; the bare relay shows how much of the difference that explains.
 */
import { fromFileUrl } from "@std/path/posix";
import { request } from "../src/client/control_exchange.ts";
import type { EngineClient } from "../src/engine/engine_client.ts";
import { isListenedOn } from "../src/platform/unix_socket.ts";
import { APEX_COMMAND, ApexHome, eventually } from "../tests/support/daemons/apex_process.ts";
import { isInstalled } from "../tests/support/daemons/own_daemon.ts";
import {
  BUSYBOX_IMAGE,
  dockerAvailable,
  type DockerEngine,
  startDocker,
} from "../tests/support/engines/docker_engine.ts";
import { TempDir } from "../tests/support/temp_dir.ts";
import { median, print, printTable, quantile, verdictOf } from "./report.ts";

const ROUNDS = 400;
/** A daemon runs for weeks, so the time before its code is optimized is not measured. */
const WARM_UP_ROUNDS = 400;
/** A creation and a removal. */
const EVENTS_PER_ROUND = 2;
const LF = 10;

/** The target for the median latency of `apex events`, relative to `docker events`. */
const MAX_RATIO = 1.3;

export async function engineLatency(): Promise<void> {
  print("\nFrom the engine's event to its line, ms (create and remove on a private dockerd)");
  if (!await dockerAvailable() || !await isInstalled("docker")) {
    print("skipped: it requires root, dockerd, busybox and the docker client");
    return;
  }
  await using docker = await startDocker();
  const apex = await measureApex(docker);
  const bare = await measureBare(docker);
  const row = (name: string, ages: readonly number[], verdict: string) => [
    name,
    median(ages).toFixed(2),
    quantile(ages, 0.99).toFixed(2),
    verdict,
  ];
  const ratio = (ages: Ages) => median(ages.ours) / median(ages.docker);
  printTable(["", "p50", "p99", "p50 ratio"], [
    row("apex events", apex.ours, verdictOf({ ratio: ratio(apex), target: MAX_RATIO, bound: "atMost" })),
    row("docker events", apex.docker, ""),
    row("bare relay and copy", bare.ours, `${ratio(bare).toFixed(2)}x, the runtime's minimum`),
    row("docker events beside it", bare.docker, ""),
  ]);
}

/** The ages of the same events, in milliseconds. */
interface Ages {
  readonly ours: readonly number[];
  readonly docker: readonly number[];
}

async function measureApex(docker: DockerEngine): Promise<Ages> {
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon(["--engine", `unix://${docker.socketPath}`]);
  const status = () => request(home.controlSocket, "status", {});
  await eventually(async () => (await status()).engine.state === "connected", "the daemon follows dockerd");
  await using events = new LineReader([...APEX_COMMAND, "events"], { env: home.env });
  await eventually(async () => (await status()).subscribers > 0, "apex events is registered");
  return await measureBeside(docker, events, apexKey);
}

async function measureBare(docker: DockerEngine): Promise<Ages> {
  await using dir = await TempDir.make();
  const program = fromFileUrl(new URL("./bare_relay.ts", import.meta.url));
  const bare = [Deno.execPath(), "run", "-A", program];
  const socket = dir.join("relay");
  await using _relay = new LineReader([...bare, "relay", docker.socketPath, socket]);
  await eventually(() => isListenedOn(socket), "the relay follows dockerd");
  await using events = new LineReader([...bare, "copy", socket]);
  await eventually(async () => {
    await createAndRemove(docker.client);
    return events.lines > 0;
  }, "the connection of the copy");
  return await measureBeside(docker, events, dockerKey);
}

/** Creates events, and measures the arrival of their lines in `ours` and in docker's client. */
async function measureBeside(
  docker: DockerEngine,
  ours: LineReader,
  keyOfOurs: (line: string) => string,
): Promise<Ages> {
  const containersAsJson = ["--filter", "type=container", "--format", "{{json .}}"];
  await using peer = new LineReader(
    ["docker", "-H", `unix://${docker.socketPath}`, "events", ...containersAsJson],
  );
  await eventually(async () => {
    await createAndRemove(docker.client);
    return peer.lines > 0;
  }, "docker events is registered");

  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    const lines = [ours.lines + EVENTS_PER_ROUND, peer.lines + EVENTS_PER_ROUND] as const;
    await createAndRemove(docker.client);
    await Promise.all([ours.reached(lines[0]), peer.reached(lines[1])]);
  }
  return agesOf(ours.arrivals(keyOfOurs), peer.arrivals(dockerKey));
}

/** Returns both ages of each event after the warm-up. The engine's time is in docker's line, in nanoseconds. */
function agesOf(ours: Map<string, Arrival>, docker: Map<string, Arrival>): Ages {
  const pairs = [...docker].flatMap(([key, theirs]) => {
    const mine = ours.get(key);
    return mine === undefined ? [] : [{ mine, theirs, engineMs: JSON.parse(theirs.line).timeNano / 1e6 }];
  }).slice(WARM_UP_ROUNDS * EVENTS_PER_ROUND);
  return {
    ours: pairs.map(({ mine, engineMs }) => mine.atMs - engineMs),
    docker: pairs.map(({ theirs, engineMs }) => theirs.atMs - engineMs),
  };
}

/** Causes two events without starting a process, so that only the path of the events is measured. */
async function createAndRemove(client: EngineClient): Promise<void> {
  const created = await client.request("POST", "/containers/create", {
    body: { Image: BUSYBOX_IMAGE, Cmd: ["true"] },
  });
  const { Id } = await created.json() as { Id: string };
  await (await client.request("DELETE", `/containers/${Id}`)).text();
}

function apexKey(line: string): string {
  const { type, containerId } = JSON.parse(line);
  return `${type.replace("container.", "")} ${containerId}`;
}

function dockerKey(line: string): string {
  const { Action, Actor } = JSON.parse(line);
  return `${Action === "destroy" ? "removed" : "created"} ${Actor.ID}`;
}

interface Arrival {
  readonly line: string;
  /** Milliseconds since the Unix epoch, as precise as the runtime's clock. */
  readonly atMs: number;
}

/**
 * A process whose output is recorded with its arrival times. The output is parsed only at the end, so that parsing the line
 * of one process does not delay the arrival time of the other's.
 */
class LineReader implements AsyncDisposable {
  lines = 0;
  readonly #child: Deno.ChildProcess;
  readonly #chunks: { readonly bytes: Uint8Array; readonly atMs: number }[] = [];
  readonly #reading: Promise<void>;
  #awaited: { readonly lines: number; readonly resolve: () => void } | undefined;

  constructor(
    [program, ...args]: readonly string[],
    options: { readonly env?: Record<string, string> } = {},
  ) {
    this.#child = new Deno.Command(program!, {
      args,
      env: options.env ?? {},
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  /** Resolves when `lines` lines have arrived since the start. */
  reached(lines: number): Promise<void> {
    if (this.lines >= lines) return Promise.resolve();
    return new Promise((resolve) => this.#awaited = { lines, resolve });
  }

  /** Returns every line with its arrival time, by key. */
  arrivals(keyOf: (line: string) => string): Map<string, Arrival> {
    const decoder = new TextDecoder();
    const arrivals = new Map<string, Arrival>();
    let rest = "";
    for (const { bytes, atMs } of this.#chunks) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) arrivals.set(keyOf(line), { line, atMs });
    }
    return arrivals;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const bytes of this.#child.stdout) {
      const atMs = performance.timeOrigin + performance.now();
      this.#chunks.push({ bytes, atMs });
      for (const byte of bytes) if (byte === LF) this.lines++;
      if (this.#awaited !== undefined && this.lines >= this.#awaited.lines) this.#awaited.resolve();
    }
  }
}
