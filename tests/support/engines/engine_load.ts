import { ENGINE_EPOCH_NANO, ScriptedEngine } from "./scripted_engine.ts";

/** The events of one container: created, started, died, removed. */
export const EVENTS_PER_CONTAINER = 4;
const ACTIONS = ["create", "start", "die", "destroy"] as const;

/** A scripted engine that sends the events of containers as fast as a test wants. */
export class EngineLoad implements AsyncDisposable {
  readonly engine: ScriptedEngine;
  #containers = 0;
  #atMs = 0;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(socketPath: string) {
    this.engine = new ScriptedEngine(socketPath);
  }

  /** How many events were sent. */
  get sent(): number {
    return this.#containers * EVENTS_PER_CONTAINER;
  }

  /** Sends all events of `containers` containers in one piece. Resolves when they were written to the daemons' sockets. */
  async live(containers: number): Promise<void> {
    const lines: string[] = [];
    for (let count = 0; count < containers; count++) {
      const id = (++this.#containers).toString(16).padStart(64, "0");
      for (const action of ACTIONS) lines.push(lineOf(action, id, ++this.#atMs));
    }
    this.engine.nowNano = ENGINE_EPOCH_NANO + this.#atMs * 1e6;
    try {
      await this.engine.say(lines.join("\n"));
    } catch (error) {
      // A daemon was killed in the meantime.
      if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) {
        throw error;
      }
    }
  }

  /** Sends `eventsPerSecond` events per second until it is stopped. */
  run(eventsPerSecond: number): void {
    const everyMs = 10;
    const containers = Math.ceil(eventsPerSecond * everyMs / 1_000 / EVENTS_PER_CONTAINER);
    this.#running = (async () => {
      while (!this.#isStopped) {
        await this.live(containers);
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    })();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.engine[Symbol.asyncDispose]();
  }
}

function lineOf(action: string, id: string, atMs: number): string {
  const timeNano = ENGINE_EPOCH_NANO + atMs * 1e6;
  const attributes = {
    name: `c${id.replace(/^0+/, "")}`,
    image: "img",
    ...(action === "die" && { exitCode: "3" }),
  };
  return JSON.stringify({
    Type: "container",
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    time: Math.floor(timeNano / 1e9),
    timeNano,
  });
}
