import type { EngineEvent } from "../../engine/events/engine_event.ts";
import type { EngineRecollection } from "../../engine/events/follow_memory.ts";
import type { ContainerStore } from "../../storage/container_store.ts";
import type { EngineEventStore } from "../../storage/journal/engine_event_store.ts";
import type { ContainerEntry } from "../container_registry.ts";
import { entryOf, rowOf } from "./container_row.ts";

/**
 * What a container manager leaves to the one of the next life: how far it came in the engine's events, and what it knows
 * of each container. Both are noted in the block in which a change is told, so they are stored with the event that tells
 * of it, and nothing is told twice or never.
 */
export class ContainerMemory {
  readonly #containers: ContainerStore;
  readonly #events: EngineEventStore;

  constructor({ containers, events }: { containers: ContainerStore; events: EngineEventStore }) {
    this.#containers = containers;
    this.#events = events;
  }

  /** What an earlier life, or this one, knows of that engine; undefined when it was never followed. */
  recall(engineId: string): EngineRecollection | undefined {
    const engine = this.#containers.engine(engineId);
    if (engine === undefined) return undefined;
    const seen = this.#events.recent(engineId)
      .map(({ timeNano, containerId, action }) => ({ timeNano, id: containerId, action }));
    return {
      newestNano: Math.max(engine.baselineNano, seen.at(-1)?.timeNano ?? 0),
      baselineNano: engine.baselineNano,
      seen,
    };
  }

  /** That engine is followed for the first time: what is saved from now on is its baseline. */
  begin(engineId: string, baselineNano: number): void {
    this.#containers.follow({ engineId, baselineNano }, { isNew: true });
  }

  /** That engine is followed again: the containers that were known, removed ones too. */
  resume(
    engineId: string,
    { baselineNano, stopFollowsDie }: { baselineNano: number; stopFollowsDie: boolean },
  ): ContainerEntry[] {
    const entries = this.#containers.ofEngine(engineId).map((row) => entryOf(row, { stopFollowsDie }));
    this.#containers.follow({ engineId, baselineNano }, { isNew: false });
    for (const entry of entries) this.#containers.keep(entry.id, () => rowOf(entry));
    return entries;
  }

  /** An event of the engine has been dealt with. */
  note(engineId: string, { timeNano, id, action }: EngineEvent): void {
    this.#events.note(engineId, { timeNano, containerId: id, action });
  }

  /** The container is not what it was. */
  save(entry: ContainerEntry): void {
    this.#containers.save(entry.id, () => rowOf(entry));
  }

  /** Nothing will be asked about that container any more. */
  forget(containerId: string): void {
    this.#containers.remove(containerId);
  }
}
