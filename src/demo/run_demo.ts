/**
 * `apex demo`: starts a temporary daemon with the embedded engine, runs a few containers that end in different ways, and
 * prints each event from the daemon's events.socket. The events go to stdout unchanged, the titles and explanations to
 * stderr. Everything that the demo has created is removed.
 */
import { abortable } from "@std/async/abortable";
import { delay } from "@std/async/delay";
import { TextLineStream } from "@std/streams/text-line-stream";
import { EngineClient } from "../engine/engine_client.ts";
import { ApexError } from "../platform/apex_error.ts";
import { Deadline } from "../platform/async/deadline.ts";
import { DemoProcesses, type DemoProcessesOptions } from "./demo_processes.ts";
import { explainEvent, type Scene, SCENES } from "./scenes.ts";

/** A scene takes one or two seconds. */
const SCENE_TIMEOUT_MS = 20_000;
/** How long a container runs before it is killed or stopped: its script must have set its trap by then. */
const RUN_FIRST_MS = 500;
const NANO_PER_MS = 1_000_000;

export interface DemoOptions extends DemoProcessesOptions {
  /** Prints an event, a line without its LF. */
  readonly print: (line: string) => Promise<void>;
  /** Prints a title or an explanation. */
  readonly explain: (line: string) => Promise<void>;
}

/** @throws {ApexError} if the daemon or the engine does not start, or an expected event does not come */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { abort, print, explain } = options;
  const startedMs = Date.now();
  await explain(
    "Starting a temporary daemon with the embedded engine; your own containers are not affected.",
  );
  await using processes = await DemoProcesses.start(options);
  using client = new EngineClient({ socketPath: processes.engineSocket });
  using connection = await Deno.connect({ transport: "unix", path: processes.eventsSocket });
  const lines = readLines(connection);
  for (const scene of SCENES) {
    abort.throwIfAborted();
    await explain(`\n${scene.title}`);
    using deadline = new Deadline(SCENE_TIMEOUT_MS, { abort });
    await play(scene, { client, lines, abort: deadline.abortSignal, print, explain });
  }
  await explain(
    `\nThe demo took ${
      ((Date.now() - startedMs) / 1_000).toFixed(1)
    } s. Next, try it with your own containers:`,
  );
  await explain("  apex daemon &\n  apex events");
}

interface Stage extends Pick<DemoOptions, "abort" | "print" | "explain"> {
  readonly client: EngineClient;
  readonly lines: ReadableStreamDefaultReader<string>;
}

/** Runs one container, and prints its events until it is removed. */
async function play(scene: Scene, { client, lines, abort, print, explain }: Stage): Promise<void> {
  const create = await client.request("POST", "/containers/create", {
    query: { name: `apex-task-${scene.taskId}` },
    body: createBody(scene),
    abort,
  });
  const { Id: id } = await create.json();
  await client.request("POST", `/containers/${id}/start`, { abort });
  for (;;) {
    const line = await nextLine(lines, abort);
    const event = JSON.parse(line);
    await print(line);
    const words = explainEvent(event);
    if (words !== undefined) await explain(`  └ ${words}`);
    if (event.containerId !== id) continue;
    if (event.type === "container.started" && scene.then !== undefined) {
      await delay(RUN_FIRST_MS, { signal: abort });
      await client.request("POST", `/containers/${id}/${scene.then}`, { abort });
    }
    const moment = event.type === "container.health" ? `${event.type}:${event.status}` : event.type;
    if (moment === scene.until) {
      await client.request("DELETE", `/containers/${id}`, { query: { force: 1 }, abort });
    }
    if (event.type === "container.removed") return;
  }
}

function createBody(scene: Scene): Record<string, unknown> {
  return {
    Image: "busybox",
    Cmd: ["sh", "-c", scene.script],
    Labels: { "apex.task-id": scene.taskId },
    ...scene.probe !== undefined && {
      Healthcheck: { Test: ["CMD-SHELL", scene.probe], Interval: 200 * NANO_PER_MS, Retries: 2 },
    },
  };
}

function readLines(connection: Deno.Conn): ReadableStreamDefaultReader<string> {
  return connection.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .getReader();
}

async function nextLine(lines: ReadableStreamDefaultReader<string>, abort: AbortSignal): Promise<string> {
  abort.throwIfAborted();
  const { done, value } = await abortable(lines.read(), abort);
  if (done) throw new ApexError("stream_cut", "the demo's daemon ended unexpectedly");
  return value;
}
