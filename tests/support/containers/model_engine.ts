/** An engine that randomly changes containers of a few names, and reports the changes as Docker does. */
import type { ContainerInspect, ContainerSummary } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { engineEvent, inspectOf, summaryOf, T0_MS } from "./engine_feed.ts";

const NAMES = ["web", "api", "db"];

interface ModelContainer {
  readonly id: string;
  name: string;
  state: "created" | "running" | "exited";
  exitCode: number;
  readonly created: number;
  started?: number;
  finished?: number;
}

export class ModelEngine {
  nowMs: number;
  readonly #random: () => number;
  readonly #containers = new Map<string, ModelContainer>();
  /** For each removed container, a number between those of the containers created before and after the removal. */
  readonly #removed = new Map<string, number>();
  /** Events that were not taken yet. */
  #events: EngineEvent[] = [];
  /** Reported later than they happened: by then another container may have the name. */
  #late: (() => void)[] = [];
  #count = 0;

  constructor(random: () => number, nowMs: number) {
    this.#random = random;
    this.nowMs = nowMs;
  }

  /** Makes one change. */
  act(): void {
    this.nowMs += 1 + Math.floor(this.#random() * 40);
    if (this.#late.length > 0 && this.#random() < 0.5) return this.#late.shift()!();
    const containers = [...this.#containers.values()];
    const free = NAMES.filter((name) => !containers.some((each) => each.name === name));
    const container = containers[Math.floor(this.#random() * containers.length)];
    const pick = this.#random();
    if (container === undefined || (free.length > 0 && pick < 0.35)) return this.#create(free[0]!);
    if (free.length > 0 && pick < 0.42) return this.#rename(container, free.at(-1)!);
    if (container.state === "running") return this.#end(container, pick);
    if (container.state === "created" || pick < 0.55) return this.#start(container);
    this.#remove(container);
  }

  /** Reports all late events. */
  finish(): void {
    for (const say of this.#late.splice(0)) {
      this.nowMs++;
      say();
    }
  }

  /** Takes out the events since the last call. */
  take(): EngineEvent[] {
    return this.#events.splice(0);
  }

  has(id: string): boolean {
    return this.#containers.has(id);
  }

  /** Whether container `id` was removed before container `before` was created. */
  hadEnded(id: string, { before }: { before: string }): boolean {
    const removed = this.#removed.get(id);
    return removed !== undefined && removed < Number(before.slice(1));
  }

  list(): ContainerSummary[] {
    return [...this.#containers.values()].map(({ id, name, state, exitCode }) =>
      summaryOf(id, { name, state, status: state === "exited" ? `Exited (${exitCode}) 1 second ago` : "Up" })
    );
  }

  /** The containers in the form that a test compares. */
  listed(): string[] {
    return [...this.#containers.values()].map(({ id, name, state }) => [id, name, state].join(" "));
  }

  inspect(id: string): ContainerInspect | undefined {
    const container = this.#containers.get(id);
    if (container === undefined) return undefined;
    const { state, created, started, finished, ...rest } = container;
    return inspectOf(id, {
      ...rest,
      status: state,
      created: created - T0_MS,
      ...(started !== undefined && { started: started - T0_MS }),
      ...(finished !== undefined && { finished: finished - T0_MS }),
    });
  }

  #say(action: string, { id, name }: ModelContainer, attributes: Record<string, string> = {}): void {
    this.#events.push(engineEvent(action, id, { timeMs: this.nowMs++, attributes: { name, ...attributes } }));
  }

  #create(name: string): void {
    const id = `c${++this.#count}`;
    const container: ModelContainer = { id, name, state: "created", exitCode: 0, created: this.nowMs };
    this.#containers.set(id, container);
    this.#say("create", container);
  }

  #start(container: ModelContainer): void {
    container.state = "running";
    container.started = this.nowMs;
    this.#say("start", container);
  }

  #end(container: ModelContainer, pick: number): void {
    const isAsked = pick < 0.8;
    const exitCode = isAsked ? 143 : pick < 0.9 ? 255 : 3;
    if (isAsked) this.#say("kill", container, { signal: "15" });
    Object.assign(container, { state: "exited", exitCode, finished: this.nowMs });
    this.#say("die", container, { exitCode: String(exitCode) });
    if (pick < 0.6) this.#late.push(() => this.#say("stop", container));
    if (pick < 0.75) this.#remove(container);
  }

  #rename(container: ModelContainer, name: string): void {
    container.name = name;
    this.#say("rename", container);
  }

  #remove(container: ModelContainer): void {
    this.#containers.delete(container.id);
    this.#removed.set(container.id, this.#count + 0.5);
    if (this.#random() < 0.5) this.#say("destroy", container);
    else this.#late.push(() => this.#say("destroy", container));
  }
}
