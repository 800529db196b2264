/**
 * From the engine's event to the line that a person sees: `apex events` beside `docker events`, on one dockerd, in one
 * run, for the same events. A line's age is its arrival minus the engine's own time of the event.
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { request } from "../src/client/request.ts";
import type { EngineClient } from "../src/engine/engine_client.ts";
import { APEX_COMMAND, ApexHome, eventually } from "../tests/support/apex_process.ts";
import { BUSYBOX_IMAGE, dockerAvailable, startDocker } from "../tests/support/docker_engine.ts";
import { isInstalled } from "../tests/support/own_daemon.ts";
import { median, print, printTable, quantile, verdictOf } from "./report.ts";

const ROUNDS = 400;
/** Before these the processes' code is not warm; not counted. */
const WARM_UP_ROUNDS = 100;

/** A person's pipeline beside the engine's own; the design's figure. */
const MAX_RATIO = 1.3;

export async function engineLatency(): Promise<void> {
  print("\nFrom the engine's event to its line, ms (create and remove on a private dockerd)");
  if (!await dockerAvailable() || !await isInstalled("docker")) {
    print("dockerd, busybox or the docker client is not here, or this is not root: left out");
    return;
  }
  const { apex, docker } = await measure();
  const row = (name: string, ages: readonly number[], verdict: string) => [
    name,
    median(ages).toFixed(2),
    quantile(ages, 0.99).toFixed(2),
    verdict,
  ];
  const ratio = median(apex) / median(docker);
  printTable(["", "p50", "p99", "p50 ratio"], [
    row("apex events", apex, verdictOf({ ratio, target: MAX_RATIO, bound: "atMost" })),
    row("docker events", docker, ""),
  ]);
}

/** Ages of the lines of both, in milliseconds. */
async function measure(): Promise<{ apex: number[]; docker: number[] }> {
  await using docker = await startDocker();
  await using home = await ApexHome.create();
  await using _daemon = await home.startDaemon(["--engine", `unix://${docker.socketPath}`]);
  const status = () => request(home.controlSocket, "status");
  await eventually(async () => (await status()).engine.state === "connected", "the daemon follows dockerd");

  await using apex = new LineReader([...APEX_COMMAND, "events"], { env: home.env, keyOf: apexKey });
  await using peer = new LineReader(
    [
      "docker",
      "-H",
      `unix://${docker.socketPath}`,
      "events",
      "--filter",
      "type=container",
      "--format",
      "{{json .}}",
    ],
    { keyOf: dockerKey },
  );
  await eventually(async () => (await status()).subscribers > 0, "apex events is registered");
  await eventually(async () => {
    await createAndRemove(docker.client);
    return peer.lines > 0;
  }, "docker events is registered");

  const ages = { apex: [] as number[], docker: [] as number[] };
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    const key = `removed ${await createAndRemove(docker.client)}`;
    const [ours, theirs] = await Promise.all([apex.arrivalOf(key), peer.arrivalOf(key)]);
    if (round < WARM_UP_ROUNDS) continue;
    // Docker's line has the engine's time to the nanosecond, ours to the millisecond: one start for both.
    const engineMs = JSON.parse(theirs.line).timeNano / 1e6;
    ages.apex.push(ours.atMs - engineMs);
    ages.docker.push(theirs.atMs - engineMs);
  }
  return ages;
}

/** Two events and no process: what is measured is the way of an event, not the start of a container. */
async function createAndRemove(client: EngineClient): Promise<string> {
  const created = await client.request("POST", "/containers/create", {
    body: { Image: BUSYBOX_IMAGE, Cmd: ["true"] },
  });
  const { Id } = await created.json() as { Id: string };
  await (await client.request("DELETE", `/containers/${Id}`)).text();
  return Id;
}

function apexKey(line: string): string {
  const { type, containerId } = JSON.parse(line);
  return `${type.replace("container.", "")} ${containerId}`;
}

function dockerKey(line: string): string {
  const { Action, Actor } = JSON.parse(line);
  return `${Action === "destroy" ? "removed" : Action} ${Actor.ID}`;
}

interface Arrival {
  readonly line: string;
  /** Milliseconds since the Unix epoch, as finely as the runtime tells. */
  readonly atMs: number;
}

/** A process whose lines are timed as they come. */
class LineReader implements AsyncDisposable {
  lines = 0;
  readonly #child: Deno.ChildProcess;
  readonly #arrived = new Map<string, Arrival>();
  readonly #awaited = new Map<string, (arrival: Arrival) => void>();
  readonly #reading: Promise<void>;

  constructor(
    [program, ...args]: readonly string[],
    options: { readonly keyOf: (line: string) => string; readonly env?: Record<string, string> },
  ) {
    this.#child = new Deno.Command(program!, {
      args,
      env: options.env ?? {},
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read(options.keyOf);
  }

  arrivalOf(key: string): Promise<Arrival> {
    const arrival = this.#arrived.get(key);
    if (arrival) return Promise.resolve(arrival);
    return new Promise((resolve) => this.#awaited.set(key, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#reading;
  }

  async #read(keyOf: (line: string) => string): Promise<void> {
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      const arrival = { line, atMs: performance.timeOrigin + performance.now() };
      const key = keyOf(line);
      this.lines++;
      this.#arrived.set(key, arrival);
      this.#awaited.get(key)?.(arrival);
    }
  }
}
