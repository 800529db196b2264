/** A bridge fed by hand that is restarted on one database: each life goes on from what the last one left. */
import { ContainerCheckpoints } from "../../../src/containers/reconcile/container_checkpoints.ts";
import type { ContainerSummary, EngineKind } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { FollowMemory } from "../../../src/engine/events/follow_memory.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { WireEvent } from "../../../src/protocol/wire_event.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { FakeClock } from "../fake_clock.ts";
import { EngineFeed, type InspectAnswer } from "./engine_feed.ts";

export interface LifeOptions {
  /** Of the database. */
  readonly path: string;
  readonly kind?: EngineKind;
  readonly engineId?: string;
  /** The engine's time, and ours, when it begins. */
  readonly nowMs: number;
  readonly containers?: readonly ContainerSummary[];
  readonly answer?: InspectAnswer;
}

export class Life implements AsyncDisposable {
  readonly feed: EngineFeed;
  /** From where this life asks the engine to tell, ns. */
  readonly sinceNano: number;
  readonly #engineId: string;
  readonly #follow: FollowMemory;
  readonly #stack: AsyncDisposableStack;

  constructor(options: LifeOptions) {
    const { path, kind = "docker", engineId = "engine-1", nowMs, containers = [], answer } = options;
    this.#engineId = engineId;
    this.#stack = new AsyncDisposableStack();
    const storage = this.#stack.use(openStorage({ path, clock: new FakeClock(nowMs), logger: silentLogger }));
    const checkpoints = new ContainerCheckpoints({
      containers: storage.containers,
      events: storage.engineEvents,
    });
    this.feed = this.#stack.use(new EngineFeed(kind, { startMs: nowMs, checkpoints }));
    if (answer !== undefined) this.feed.answer = answer;
    this.#follow = new FollowMemory((id) => checkpoints.recall(id));
    this.sinceNano = this.#follow.begin(engineId, nowMs * 1e6);
    this.feed.connect([...containers], { first: this.#follow.isFirst, engineId });
    this.#follow.completed();
  }

  /** A connection after the one that was cut; then what the engine remembers of the time since. */
  async reconnect(
    containers: readonly ContainerSummary[],
    remembered: readonly EngineEvent[],
  ): Promise<void> {
    const sinceNano = this.#follow.begin(this.#engineId, this.feed.clock.now() * 1e6);
    this.feed.connect([...containers], { first: this.#follow.isFirst, engineId: this.#engineId });
    this.#follow.completed();
    for (const event of remembered) if (event.timeNano >= sinceNano) await this.say(event);
  }

  /** What the engine's stream says, once more where it did before. */
  async say(event: EngineEvent): Promise<void> {
    const novelty = this.#follow.see(event);
    if (novelty !== "repeat") this.feed.deliver(event, novelty === "silent");
    await this.feed.settle();
  }

  /** All that the engine remembers of what came before this life. */
  async replay(events: readonly EngineEvent[]): Promise<void> {
    for (const event of events) if (event.timeNano >= this.sinceNano) await this.say(event);
  }

  get published(): readonly WireEvent[] {
    return this.feed.published;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
