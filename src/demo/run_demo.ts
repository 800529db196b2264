/**
 * `apex demo`: a daemon of its own on the embedded engine, a few containers that end in different ways, and each event
 * as it comes from the daemon's events.socket. The lines are data, as received; titles and explanations are for people.
 * It leaves nothing behind.
 */
import { abortable } from "@std/async/abortable";
import { delay } from "@std/async/delay";
import { TextLineStream } from "@std/streams/text-line-stream";
import { EngineClient } from "../engine/engine_client.ts";
import { ApexError } from "../platform/apex_error.ts";
import { Deadline } from "../platform/async/deadline.ts";
import { DemoProcesses } from "./demo_processes.ts";
import { explainEvent } from "./explain_event.ts";
import { type Scene, SCENES } from "./scenes.ts";

/** A scene takes a second or two; one that takes this long is stuck. */
const SCENE_TIMEOUT_MS = 20_000;
/** Before it is killed or stopped: so one sees it run, and its script has set its trap by then. */
const RUN_FIRST_MS = 500;
const NANO_PER_MS = 1_000_000;

export interface DemoOptions {
  /** The command that is apex itself: the binary, or `deno run -A main.ts`. */
  readonly selfCommand: readonly string[];
  /** Ends the demo early; it cleans up all the same. */
  readonly signal: AbortSignal;
  /** Takes each event line, without its LF. */
  readonly print: (line: string) => Promise<void>;
  /** Takes what is said to people. */
  readonly explain: (line: string) => Promise<void>;
  /** Where its temporary directory is made; a short path. Default `/tmp`. */
  readonly parentDir?: string;
}

/** @throws {ApexError} when the daemon or the engine does not start, or an event fails to come */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { signal, print, explain } = options;
  const startedMs = Date.now();
  await explain("Starting a daemon of its own on the embedded engine; your containers are not touched.");
  await using processes = await DemoProcesses.start(options);
  using client = new EngineClient({ socketPath: processes.engineSocket });
  using connection = await Deno.connect({ transport: "unix", path: processes.eventsSocket });
  const lines = readLines(connection);
  for (const scene of SCENES) {
    signal.throwIfAborted();
    await explain(`\n${scene.title}`);
    using deadline = new Deadline(SCENE_TIMEOUT_MS, { abort: signal });
    await play(scene, { client, lines, signal: deadline.abortSignal, print, explain });
  }
  await explain(
    `\nThat was all, in ${((Date.now() - startedMs) / 1_000).toFixed(1)} s. Now with your own containers:`,
  );
  await explain("  apex daemon &\n  apex events");
}

interface Stage {
  readonly client: EngineClient;
  readonly lines: ReadableStreamDefaultReader<string>;
  readonly signal: AbortSignal;
  readonly print: (line: string) => Promise<void>;
  readonly explain: (line: string) => Promise<void>;
}

/** Runs one container, and shows its events up to its removal. */
async function play(scene: Scene, { client, lines, signal, print, explain }: Stage): Promise<void> {
  const create = await client.request("POST", "/containers/create", {
    query: { name: `apex-task-${scene.taskId}` },
    body: createBody(scene),
    abort: signal,
  });
  const { Id: id } = await create.json();
  await client.request("POST", `/containers/${id}/start`, { abort: signal });
  for (;;) {
    const line = await nextLine(lines, signal);
    const event = JSON.parse(line);
    await print(line);
    const words = explainEvent(event);
    if (words !== undefined) await explain(`  └ ${words}`);
    if (event.containerId !== id) continue;
    if (event.type === "container.started" && scene.then !== undefined) {
      await delay(RUN_FIRST_MS, { signal });
      await client.request("POST", `/containers/${id}/${scene.then}`, { abort: signal });
    }
    const moment = event.type === "container.health" ? `${event.type}:${event.status}` : event.type;
    if (moment === scene.until) {
      await client.request("DELETE", `/containers/${id}`, { query: { force: 1 }, abort: signal });
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

async function nextLine(lines: ReadableStreamDefaultReader<string>, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { done, value } = await abortable(lines.read(), signal);
  if (done) throw new ApexError("stream_cut", "the demo's daemon ended before its time");
  return value;
}
