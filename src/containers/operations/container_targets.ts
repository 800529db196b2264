import { taskIdOf } from "../apex_labels.ts";
import type { ContainerOperationFailedEvent } from "../changes/container_events.ts";
import type { ContainerRecord } from "../container_record.ts";
import type { ContainerSpec } from "./container_spec.ts";

/** The container of an operation, as far as it is known. */
export type OperationSubject = Pick<
  ContainerOperationFailedEvent,
  "containerId" | "containerName" | "image" | "taskId"
>;

/** Remembered new containers whose event has not arrived yet. */
const MAX_NEW = 256;

/**
 * Finds the container that a caller names by its id, an unambiguous prefix of that, or its name. In addition to the
 * registry it knows the containers that apex has just created: the engine's reply may come before its event.
 */
export class ContainerTargets {
  readonly #find: (nameOrId: string) => ContainerRecord | undefined;
  /** By id, the oldest first. */
  readonly #new = new Map<string, OperationSubject>();

  /** @param find in the registry, recently removed containers included; throws `conflict` for an ambiguous prefix */
  constructor(find: (nameOrId: string) => ContainerRecord | undefined) {
    this.#find = find;
  }

  /** @throws {ApexError} `conflict` for an ambiguous prefix */
  subjectOf(nameOrId: string): OperationSubject {
    const record = this.#find(nameOrId);
    if (record === undefined) return this.#newSubject(nameOrId) ?? namedSubject(nameOrId);
    this.#new.delete(record.id);
    const { id, name, image, taskId } = record;
    return { containerId: id, containerName: name, image, ...(taskId !== undefined && { taskId }) };
  }

  /** Whether the container exists, as far as apex knows: its removal has not been reported yet. */
  exists(id: string): boolean {
    const record = this.#find(id);
    return record === undefined ? this.#new.has(id) : record.state !== "removed";
  }

  /** apex has created this container. */
  created(id: string, subject: OperationSubject): void {
    this.#new.set(id, subject);
    const [oldest] = this.#new.keys();
    if (this.#new.size > MAX_NEW && oldest !== undefined) this.#new.delete(oldest);
  }

  #newSubject(nameOrId: string): OperationSubject | undefined {
    const subject = this.#new.get(nameOrId);
    return subject ?? [...this.#new.values()].find(({ containerName }) => containerName === nameOrId);
  }
}

/** The container that a spec describes. */
export function subjectOfSpec({ name, image, labels = {} }: ContainerSpec): OperationSubject {
  const taskId = taskIdOf(name ?? "", labels);
  return {
    ...(name !== undefined && { containerName: name }),
    image,
    ...(taskId !== undefined && { taskId }),
  };
}

/** The id or name to use in requests: the engine may know a container that apex does not. */
export function engineNameOf({ containerId, containerName }: OperationSubject): string {
  return containerId ?? containerName ?? "";
}

function namedSubject(nameOrId: string): OperationSubject {
  return /^[0-9a-f]{64}$/.test(nameOrId) ? { containerId: nameOrId } : { containerName: nameOrId };
}
