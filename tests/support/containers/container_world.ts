/**
 * Containers that are created, started and paused, become unhealthy, and end in every way, at random, so that a daemon has
 * events to publish. The world talks only to the engine, so it continues while no daemon runs.
 */
import { ApexError } from "../../../src/platform/apex_error.ts";
import { eventually } from "../daemons/apex_process.ts";
import { ContainerDriver } from "../engines/container_driver.ts";
import type { TestEngine } from "../engines/embedded_engine.ts";
import { randomOf } from "../random.ts";

const NANO_PER_MS = 1e6;
const PROBE_EVERY_MS = 40;
/** So long that the socket's buffers of a subscriber that does not read fill quickly. */
const LONG_LABEL = "é".repeat(20_000);

/** What may be done to a container in each state; repeated entries are more likely. */
const DEEDS: Readonly<Record<string, readonly Deed[]>> = {
  created: ["start", "start", "start", "remove"],
  running: [
    "flip",
    "flip",
    "flip",
    "pause",
    "pause",
    "restart",
    "stop",
    "kill",
    "terminate",
    "wait",
    "remove",
  ],
  paused: ["unpause", "unpause", "unpause", "stop", "kill", "remove"],
  restarting: ["wait", "stop", "remove"],
  exited: ["start", "start", "restart", "remove"],
};

type Deed =
  | "start"
  | "flip"
  | "pause"
  | "unpause"
  | "restart"
  | "stop"
  | "kill"
  | "terminate"
  | "wait"
  | "remove";

interface Health {
  readonly Status: string;
}

export interface ContainerWorldOptions {
  readonly engine: TestEngine;
  /** One container of each name exists at a time. */
  readonly names: readonly string[];
  readonly seed: number;
}

export class ContainerWorld implements Disposable {
  readonly #options: ContainerWorldOptions;
  readonly #driver: ContainerDriver;
  #nextDeed = Promise.withResolvers<void>();
  #isEnding = false;

  constructor(options: ContainerWorldOptions) {
    this.#options = options;
    this.#driver = new ContainerDriver(options.engine.socketPath);
  }

  /** Nothing more will be done, because `end` was called or something failed. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Runs until `end` is called; then removes all containers. */
  async run(): Promise<void> {
    try {
      const { names, seed } = this.#options;
      await Promise.all(names.map((name, index) => this.#keep(name, randomOf(seed * 100 + index))));
    } finally {
      this.end();
    }
  }

  end(): void {
    this.#isEnding = true;
    this.#nextDeed.resolve();
  }

  /** Resolves when the next deed is done, or none will follow. */
  async deed(): Promise<void> {
    if (!this.#isEnding) await this.#nextDeed.promise;
  }

  [Symbol.dispose](): void {
    this.#driver[Symbol.dispose]();
  }

  async #keep(name: string, random: () => number): Promise<void> {
    let id: string | undefined;
    while (!this.#isEnding) {
      if (id === undefined) id = await this.#create(name, random);
      else if (await this.#act(id, { name, random }) === "removed") id = undefined;
      this.#nextDeed.resolve();
      this.#nextDeed = Promise.withResolvers();
    }
    if (id !== undefined) await this.#driver.remove(id, { force: true });
  }

  #create(name: string, random: () => number): Promise<string> {
    const code = Math.floor(random() * 4);
    const command = random() < 0.3 ? `sleep 0.${Math.floor(random() * 3)}; exit ${code}` : "exec sleep 600";
    const probe = ["CMD-SHELL", `test -e ${this.#healthFile(name)}`];
    return this.#driver.create({
      name,
      Cmd: ["sh", "-c", command],
      ...(random() < 0.1 && { Labels: { long: LONG_LABEL } }),
      ...(random() < 0.7 && {
        Healthcheck: { Test: probe, Interval: PROBE_EVERY_MS * NANO_PER_MS, Retries: 1 },
      }),
      ...(random() < 0.3 && {
        HostConfig: { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 } },
      }),
    });
  }

  async #act(
    id: string,
    { name, random }: { name: string; random: () => number },
  ): Promise<Deed | "removed"> {
    const { State } = await this.#options.engine.inspect(id);
    const deeds = DEEDS[String(State.Status)] ?? ["wait"];
    const deed = deeds[Math.floor(random() * deeds.length)]!;
    try {
      await this.#do(deed, { id, name });
    } catch (error) {
      // The container may have ended by itself.
      if (!(error instanceof ApexError)) throw error;
      return deed;
    }
    return deed === "remove" ? "removed" : deed;
  }

  async #do(deed: Deed, { id, name }: { readonly id: string; readonly name: string }): Promise<void> {
    const driver = this.#driver;
    switch (deed) {
      case "start":
        return await driver.start(id);
      case "stop":
        return await driver.stop(id, { t: 1 });
      case "kill":
        return await driver.kill(id);
      case "terminate":
        return await driver.kill(id, { signal: "SIGTERM" });
      case "remove":
        return await driver.remove(id, { force: true });
      case "restart":
        return await (await driver.client.request("POST", `/containers/${id}/restart`, { query: { t: 1 } }))
          .body?.cancel();
      case "pause":
      case "unpause":
        return await (await driver.client.request("POST", `/containers/${id}/${deed}`)).body?.cancel();
      case "wait":
        return await this.#untilHealthIs(id, undefined);
      case "flip":
        return await this.#untilHealthIs(id, await this.#flip(name));
    }
  }

  /** Changes the result of the checks of containers of that name, and returns it. */
  async #flip(name: string): Promise<string> {
    const file = this.#healthFile(name);
    try {
      await Deno.remove(file);
      return "unhealthy";
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.writeTextFile(file, "");
      return "healthy";
    }
  }

  /** Or until the container does not run or has no check. Undefined: any status except `starting`. */
  async #untilHealthIs(id: string, wanted: string | undefined): Promise<void> {
    await eventually(async () => {
      const { Status, Health } = (await this.#options.engine.inspect(id)).State;
      if (Status !== "running" || Health === undefined) return true;
      const status = (Health as Health).Status;
      return wanted === undefined ? status !== "starting" : status === wanted;
    }, `health "${wanted}" of ${id}`);
  }

  #healthFile(name: string): string {
    return `${this.#options.engine.dir}/${name}.healthy`;
  }
}
