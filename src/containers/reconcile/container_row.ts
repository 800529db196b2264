/** A container in the registry and its row in the database, one made of the other. */
import { definedFields } from "../../platform/defined_fields.ts";
import type { StoredContainer } from "../../storage/container_store.ts";
import { healthStatus, type Signal } from "../changes/engine_dialect.ts";
import { type ClassifierSnapshot, revived } from "../changes/exit_classifier.ts";
import { ContainerEntry } from "../container_registry.ts";
import type { ContainerState } from "./container_record.ts";

/** What the row's own columns do not say. What is absent is false or not known. */
interface ContainerDetails {
  /** Known from an earlier name. */
  readonly taskId?: string;
  readonly healthIsWatched?: true;
  readonly inBaseline?: true;
  readonly stateWasSeen?: true;
  readonly creationTold?: true;
  readonly inferredStartNano?: number;
  readonly inferredExitNano?: number;
  readonly inferredRemoval?: true;
  /** What led to a verdict that has not fallen yet. */
  readonly classifier?: ClassifierSnapshot;
  /** What waits for the container's name. */
  readonly waiting?: readonly Signal[];
}

export function rowOf(entry: ContainerEntry): StoredContainer {
  const { id, name, image, labels, state } = entry;
  const { health, exitCode, createdAtNano, startedAtNano, finishedAtNano } = entry;
  const details: ContainerDetails = definedFields({
    taskId: entry.taskId,
    healthIsWatched: entry.healthIsWatched || undefined,
    inBaseline: entry.inBaseline || undefined,
    stateWasSeen: entry.stateWasSeen || undefined,
    creationTold: entry.creationTold || undefined,
    inferredStartNano: entry.inferredStartNano,
    inferredExitNano: entry.inferredExitNano,
    inferredRemoval: entry.inferredRemoval || undefined,
    classifier: entry.classifier.toSnapshot(),
    waiting: entry.waiting.length > 0 ? [...entry.waiting] : undefined,
  });
  return {
    ...{ id, name, image, labels, state, details },
    ...definedFields({ health, exitCode, createdAtNano, startedAtNano, finishedAtNano }),
  };
}

export function entryOf(row: StoredContainer, options: { stopFollowsDie: boolean }): ContainerEntry {
  const details = row.details as ContainerDetails;
  const { classifier: snapshot } = details;
  const entry = new ContainerEntry(row, { ...options, ...(snapshot !== undefined && { snapshot }) });
  entry.taskId = details.taskId ?? entry.taskId;
  entry.state = row.state as ContainerState;
  entry.health = healthStatus(row.health);
  entry.exitCode = row.exitCode;
  entry.createdAtNano = row.createdAtNano;
  entry.startedAtNano = row.startedAtNano;
  entry.finishedAtNano = row.finishedAtNano;
  entry.healthIsWatched = details.healthIsWatched === true;
  entry.inBaseline = details.inBaseline === true;
  entry.stateWasSeen = details.stateWasSeen === true;
  entry.creationTold = details.creationTold === true;
  entry.inferredStartNano = details.inferredStartNano;
  entry.inferredExitNano = details.inferredExitNano;
  entry.inferredRemoval = details.inferredRemoval === true;
  entry.waiting.push(...(details.waiting ?? []).map(revived));
  return entry;
}
