/**
 * What a container manager saves for the next run of apex: its position in the engine's events, and a checkpoint of each
 * container. Both are noted in the block in which a change is published, and written in the transaction of that event. So
 * no change is published twice, or never.
 */
import type { EngineEvent } from "../../engine/events/event_stream.ts";
import type { EngineRecollection } from "../../engine/events/follow_memory.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { ContainerStore, EngineEventStore, StoredContainer } from "../../storage/container_store.ts";
import { type ContainerChange, reviveChange } from "../changes/container_change.ts";
import type { ContainerLifecycle } from "../changes/container_lifecycle.ts";
import type { ClassifierSnapshot } from "../changes/exit_classifier.ts";
import { healthStatus } from "../changes/normalize_event.ts";
import type { ContainerFacts, ContainerState } from "../container_record.ts";

/**
 * What is saved of a container beside the columns of its row. An absent field is false or unknown. Databases contain
 * these names.
 */
interface ContainerCheckpoint {
  /** May come from an earlier name. */
  readonly taskId?: string;
  readonly healthIsWatched?: true;
  readonly inBaseline?: true;
  readonly stateWasSeen?: true;
  readonly creationTold?: true;
  readonly inferredStartNano?: number;
  readonly inferredExitNano?: number;
  readonly inferredRemoval?: true;
  readonly classifier?: ClassifierSnapshot;
  /** Changes that wait for the container's name. */
  readonly waiting?: readonly ContainerChange[];
}

/** Makes the lifecycle of a saved container. */
type CreateLifecycle = (facts: ContainerFacts, snapshot?: ClassifierSnapshot) => ContainerLifecycle;

export class ContainerCheckpoints {
  readonly #containers: ContainerStore;
  readonly #events: EngineEventStore;

  constructor({ containers, events }: { containers: ContainerStore; events: EngineEventStore }) {
    this.#containers = containers;
    this.#events = events;
  }

  /** What is saved about that engine; undefined when apex never followed it. */
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

  /** apex follows that engine for the first time: what is saved from now on is its baseline. */
  begin(engineId: string, baselineNano: number): void {
    this.#containers.follow({ engineId, baselineNano }, { isNew: true });
  }

  /** apex follows that engine again. Returns the saved containers, removed ones too. */
  resume(engineId: string, baselineNano: number, create: CreateLifecycle): ContainerLifecycle[] {
    const containers = this.#containers.ofEngine(engineId).map((row) => restore(row, create));
    this.#containers.follow({ engineId, baselineNano }, { isNew: false });
    for (const container of containers) this.#containers.keep(container.id, () => rowOf(container));
    return containers;
  }

  /** An event of the engine has been processed. */
  note(engineId: string, { timeNano, id, action }: EngineEvent): void {
    this.#events.note(engineId, { timeNano, containerId: id, action });
  }

  /** The container has changed. */
  save(container: ContainerLifecycle): void {
    this.#containers.save(container.id, () => rowOf(container));
  }

  /** The container is no longer known. */
  forget(containerId: string): void {
    this.#containers.remove(containerId);
  }
}

function rowOf(container: ContainerLifecycle): StoredContainer {
  const { entry, waiting } = container;
  const { id, name, image, labels, state, replay } = entry;
  const { health, exitCode, createdAtNano, startedAtNano, finishedAtNano } = entry;
  const details: ContainerCheckpoint = definedFields({
    taskId: entry.taskId,
    healthIsWatched: entry.healthIsWatched || undefined,
    inBaseline: replay.isInBaseline || undefined,
    stateWasSeen: replay.stateWasSeen || undefined,
    creationTold: replay.isCreationKnown || undefined,
    inferredStartNano: replay.inferredStartNano,
    inferredExitNano: replay.inferredExitNano,
    inferredRemoval: replay.isRemovalInferred || undefined,
    classifier: container.toSnapshot(),
    waiting: waiting.length > 0 ? [...waiting] : undefined,
  });
  return {
    ...{ id, name, image, labels, state, details },
    ...definedFields({ health, exitCode, createdAtNano, startedAtNano, finishedAtNano }),
  };
}

function restore(row: StoredContainer, create: CreateLifecycle): ContainerLifecycle {
  const checkpoint = row.details as ContainerCheckpoint;
  const container = create(row, checkpoint.classifier);
  const { entry } = container;
  entry.taskId = checkpoint.taskId ?? entry.taskId;
  entry.state = row.state as ContainerState;
  entry.health = healthStatus(row.health);
  entry.healthIsWatched = checkpoint.healthIsWatched === true;
  entry.exitCode = row.exitCode;
  entry.createdAtNano = row.createdAtNano;
  entry.startedAtNano = row.startedAtNano;
  entry.finishedAtNano = row.finishedAtNano;
  Object.assign(entry.replay, {
    isInBaseline: checkpoint.inBaseline === true,
    stateWasSeen: checkpoint.stateWasSeen === true,
    isCreationKnown: checkpoint.creationTold === true,
    inferredStartNano: checkpoint.inferredStartNano,
    inferredExitNano: checkpoint.inferredExitNano,
    isRemovalInferred: checkpoint.inferredRemoval === true,
  });
  container.waiting.push(...(checkpoint.waiting ?? []).map(reviveChange));
  return container;
}
