import type { ContainerRecord } from "../container_record.ts";
import type { OperationSubject } from "./operation_failure.ts";

/** Containers just created of which the engine's event may not have come yet. */
const MAX_FRESH = 256;

/**
 * What is known of a container that somebody names, by its id, an unambiguous prefix of that, or its name. Beside the
 * registry it remembers what apex has just created: the engine's reply may come before its event.
 */
export class ContainerTargets {
  readonly #find: (nameOrId: string) => ContainerRecord | undefined;
  /** By id, the oldest first. */
  readonly #fresh = new Map<string, OperationSubject>();

  /** @param find in the registry, lately removed ones too; throws an ApexError `conflict` for an ambiguous prefix */
  constructor(find: (nameOrId: string) => ContainerRecord | undefined) {
    this.#find = find;
  }

  /** @throws {ApexError} `conflict` for an ambiguous prefix */
  subjectOf(nameOrId: string): OperationSubject {
    const record = this.#find(nameOrId);
    if (record === undefined) return this.#freshSubject(nameOrId) ?? namedSubject(nameOrId);
    this.#fresh.delete(record.id);
    const { id, name, image, taskId } = record;
    return { containerId: id, containerName: name, image, ...(taskId !== undefined && { taskId }) };
  }

  /** As far as apex knows it is there: it was not told of its removal yet. */
  isThere(id: string): boolean {
    const record = this.#find(id);
    return record === undefined ? this.#fresh.has(id) : record.state !== "removed";
  }

  /** apex has created this one. */
  created(id: string, subject: OperationSubject): void {
    this.#fresh.set(id, subject);
    if (this.#fresh.size <= MAX_FRESH) return;
    for (const oldest of this.#fresh.keys()) {
      this.#fresh.delete(oldest);
      break;
    }
  }

  #freshSubject(nameOrId: string): OperationSubject | undefined {
    const subject = this.#fresh.get(nameOrId);
    return subject ?? [...this.#fresh.values()].find(({ containerName }) => containerName === nameOrId);
  }
}

/** The id to ask the engine with: the engine itself knows what apex does not. */
export function engineNameOf({ containerId, containerName }: OperationSubject): string {
  return containerId ?? containerName ?? "";
}

function namedSubject(nameOrId: string): OperationSubject {
  return /^[0-9a-f]{64}$/.test(nameOrId) ? { containerId: nameOrId } : { containerName: nameOrId };
}
