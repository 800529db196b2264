/** A ContainerManager on an engine, for tests of its operations. Collects what it emits, and can wait for it. */
import {
  CONTAINER_EVENT_NAMES,
  type ContainerEvents,
} from "../../../src/containers/changes/container_events.ts";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { type Clock, systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { within } from "../within.ts";

type EventName = Exclude<keyof ContainerEvents, "container:health">;

export interface EmittedEvent {
  readonly name: EventName;
  readonly event: ContainerEvents[EventName];
}

const EVENT_TIMEOUT_MS = 20_000;

export class OperatedManager implements AsyncDisposable {
  readonly manager: ContainerManager;
  readonly client: EngineClient;
  readonly emitted: EmittedEvent[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(socketPath: string, clock: Clock) {
    this.client = new EngineClient({ socketPath });
    this.manager = new ContainerManager({ client: this.client, clock, logger: silentLogger });
    for (const name of CONTAINER_EVENT_NAMES) {
      if (name === "container:health") continue;
      this.manager.on(name, (event) => {
        this.emitted.push({ name, event });
        for (const wake of this.#waiting) wake();
      });
    }
  }

  /** Resolves when the engine's containers are known. */
  static async on(socketPath: string, clock: Clock = systemClock): Promise<OperatedManager> {
    const operated = new OperatedManager(socketPath, clock);
    const connected = Promise.withResolvers<void>();
    operated.manager.once("engine:connected", () => connected.resolve());
    operated.manager.follow();
    try {
      await within(EVENT_TIMEOUT_MS, "the connection", connected.promise);
    } catch (error) {
      await operated[Symbol.asyncDispose]();
      throw error;
    }
    return operated;
  }

  /** The published failures, as `stop container:stopped`. */
  get failures(): string[] {
    return this.emitted.flatMap(({ name, event }) => event.success ? [] : [`${event.operation} ${name}`]);
  }

  /** The events of one container without failures, in short form: `created`, `died 3`, `removed forced`. */
  of(containerName: string): string[] {
    return this.emitted.filter(({ event }) => event.success && event.containerName === containerName)
      .map(({ name, event }) => {
        const words = [name.replace("container:", "")];
        if ("exitCode" in event && event.exitCode !== undefined) words.push(String(event.exitCode));
        if ("forced" in event) words.push(event.forced ? "forced" : "unforced");
        return words.join(" ");
      });
  }

  /** Waits for an event of a container, by {@linkcode of}'s short form. */
  async until(containerName: string, short: string | RegExp): Promise<void> {
    const isIt = (event: string) => typeof short === "string" ? event === short : short.test(event);
    const came = Promise.withResolvers<void>();
    const wake = (): void => {
      if (this.of(containerName).some(isIt)) came.resolve();
    };
    this.#waiting.add(wake);
    wake();
    try {
      await within(EVENT_TIMEOUT_MS, `${short} of ${containerName}`, came.promise);
    } finally {
      this.#waiting.delete(wake);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(EVENT_TIMEOUT_MS, "the end of the container manager", this.manager[Symbol.asyncDispose]());
    this.client[Symbol.dispose]();
  }
}
