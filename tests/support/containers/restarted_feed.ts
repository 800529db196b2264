/** An {@linkcode EngineFeed} that is restarted on one database: each one resumes from the checkpoints of the last. */
import { ContainerCheckpoints } from "../../../src/containers/reconcile/container_checkpoints.ts";
import type { ContainerSummary, EngineKind } from "../../../src/engine/engine_types.ts";
import type { EngineEvent } from "../../../src/engine/events/event_stream.ts";
import { FollowMemory } from "../../../src/engine/events/follow_memory.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { WireEvent } from "../../../src/protocol/wire_event.ts";
import { openStorage } from "../../../src/storage/storage.ts";
import { FakeClock } from "../fake_clock.ts";
import { EngineFeed, type InspectAnswer } from "./engine_feed.ts";

export interface RestartedFeedOptions {
  /** Path of the database. */
  readonly path: string;
  readonly kind?: EngineKind;
  readonly engineId?: string;
  /** The engine's time, and apex's, at the start. */
  readonly nowMs: number;
  readonly containers?: readonly ContainerSummary[];
  readonly answer?: InspectAnswer;
}

export class RestartedFeed implements AsyncDisposable {
  readonly feed: EngineFeed;
  /** The `since` with which this run asks the engine for events, ns. */
  readonly sinceNano: number;
  readonly #engineId: string;
  readonly #follow: FollowMemory;
  readonly #stack: AsyncDisposableStack;

  constructor(options: RestartedFeedOptions) {
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

  /** Reconnects, and then delivers the events that the engine remembers. */
  async reconnect(
    containers: readonly ContainerSummary[],
    remembered: readonly EngineEvent[],
  ): Promise<void> {
    const sinceNano = this.#follow.begin(this.#engineId, this.feed.clock.now() * 1e6);
    this.feed.connect([...containers], { first: this.#follow.isFirst, engineId: this.#engineId });
    this.#follow.completed();
    for (const event of remembered) if (event.timeNano >= sinceNano) await this.say(event);
  }

  /** Delivers an event of the engine's stream, unless it is a repetition. */
  async say(event: EngineEvent): Promise<void> {
    const novelty = this.#follow.see(event);
    if (novelty !== "repeat") this.feed.deliver(event, novelty === "silent");
    await this.feed.settle();
  }

  /** Delivers the events that the engine remembers from before this run. */
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
