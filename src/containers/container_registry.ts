/**
 * The lifecycles of all known containers. A container is known from its first mention until {@linkcode MAX_TOMBSTONES}
 * later removals: events that follow a removal still find its name, image and task.
 */
import { ApexError } from "../platform/apex_error.ts";
import type { ContainerLifecycle } from "./changes/container_lifecycle.ts";
import type { ContainerRecord } from "./container_record.ts";

/** Removed containers that stay known; of more, the oldest is forgotten. Their late events come within seconds. */
const MAX_TOMBSTONES = 1_024;

export class ContainerRegistry {
  readonly #live = new Map<string, ContainerLifecycle>();
  /** Removed ones, the earliest removed first. */
  readonly #tombstones = new Map<string, ContainerLifecycle>();
  readonly #onForgotten: (id: string) => void;

  /** @param options.onForgotten called when a container that was removed long ago is forgotten */
  constructor({ onForgotten = () => {} }: { onForgotten?: ((id: string) => void) | undefined } = {}) {
    this.#onForgotten = onForgotten;
  }

  /** All containers of which something was published, or that the baseline has, in the order in which they became known. */
  list(): ContainerRecord[] {
    return this.live().filter(({ isUnpublished }) => !isUnpublished).map(({ entry }) => entry.toRecord());
  }

  /**
   * Finds an existing container by its id, its name, or a prefix of its id, in this order.
   * @throws {ApexError} `conflict` for a prefix of several ids
   */
  find(nameOrId: string): ContainerRecord | undefined {
    const exact = this.#live.get(nameOrId);
    if (exact !== undefined || nameOrId === "") return exact?.entry.toRecord();
    const matches: ContainerRecord[] = [];
    for (const { entry } of this.#live.values()) {
      if (entry.name === nameOrId) return entry.toRecord();
      if (entry.id.startsWith(nameOrId)) matches.push(entry.toRecord());
    }
    if (matches.length > 1) {
      const names = matches.slice(0, 5).map(({ name }) => name).join(", ");
      throw new ApexError(
        "conflict",
        `"${nameOrId}" is the beginning of ${matches.length} containers' ids (${names}): use more of it, or a name`,
      );
    }
    return matches[0];
  }

  /** Like {@linkcode find}; also finds a recently removed container by its full id. */
  known(nameOrId: string): ContainerRecord | undefined {
    return this.find(nameOrId) ?? this.get(nameOrId)?.entry.toRecord();
  }

  /** The most recently removed container of that id or name; undefined when too many were removed since. */
  latelyRemoved(nameOrId: string): ContainerRecord | undefined {
    const removed = this.#tombstones.get(nameOrId) ??
      [...this.#tombstones.values()].findLast(({ entry }) => entry.name === nameOrId);
    return removed?.entry.toRecord();
  }

  /** By full id; also finds a recently removed container. */
  get(id: string): ContainerLifecycle | undefined {
    return this.#live.get(id) ?? this.#tombstones.get(id);
  }

  /** The containers that exist, in the order in which they became known. */
  live(): ContainerLifecycle[] {
    return [...this.#live.values()];
  }

  /** The containers that exist, and the recently removed ones. */
  all(): ContainerLifecycle[] {
    return [...this.#live.values(), ...this.#tombstones.values()];
  }

  add(container: ContainerLifecycle): void {
    this.#live.set(container.id, container);
    if (container.entry.state === "removed") this.bury(container.id);
  }

  /** Turns a container that was removed into a tombstone. */
  bury(id: string): void {
    const container = this.#live.get(id);
    if (container === undefined) return;
    this.#live.delete(id);
    this.#tombstones.set(id, container);
    if (this.#tombstones.size <= MAX_TOMBSTONES) return;
    const [oldest] = this.#tombstones.values();
    if (oldest === undefined) return;
    oldest.discard();
    this.#tombstones.delete(oldest.id);
    this.#onForgotten(oldest.id);
  }

  /** Forgets everything. */
  clear(): void {
    for (const container of this.all()) container.discard();
    this.#live.clear();
    this.#tombstones.clear();
  }
}
