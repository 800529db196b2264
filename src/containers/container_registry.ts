/**
 * What is known of each container. An entry lives from the first time its container is heard of until
 * {@linkcode MAX_TOMBSTONES} later removals: events that follow a removal still find its name, image and task.
 * Only the tracker changes entries, always in the same synchronous block in which it publishes the change.
 */
import { NANO_PER_MS } from "../engine/events/engine_time.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { HealthStatus } from "../protocol/wire_event.ts";
import type { Signal } from "./changes/engine_dialect.ts";
import { type ClassifierSnapshot, ExitClassifier } from "./changes/exit_classifier.ts";
import { OwnKills } from "./changes/own_kills.ts";
import type { ContainerRecord, ContainerState } from "./reconcile/container_record.ts";
import { taskIdOf } from "./task_id.ts";

/** Removed containers that are remembered; beyond that the oldest is forgotten. Their late events come within seconds. */
const MAX_TOMBSTONES = 1_024;

/** What a new entry starts with. */
export interface EntryFacts {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** One container, as far as it is known. */
export class ContainerEntry {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly classifier: ExitClassifier;
  name: string;
  image: string;
  taskId: string | undefined;
  state: ContainerState = "created";
  health: HealthStatus | undefined;
  /** `health` comes from apex's own watch on what it uses, not from the engine's checks. */
  healthIsWatched = false;
  exitCode: number | undefined;
  createdAtNano: number | undefined;
  startedAtNano: number | undefined;
  finishedAtNano: number | undefined;

  /** In the baseline list, which is newer than any silent event. */
  inBaseline = false;
  /** The state follows from what was seen since, not from the baseline list. */
  stateWasSeen = false;
  /** Its creation has been told, or was before the baseline. */
  creationTold = false;
  /** Told by reconciling, ns; the stream's own event of it, if it still comes, is a repetition. */
  inferredStartNano: number | undefined;
  inferredExitNano: number | undefined;
  inferredRemoval = false;
  /** Wait until the container may have the name that the first of them says, in order. */
  readonly waiting: Signal[] = [];
  /** Goes up with everything that happens to it: what was compared with an older revision must be compared again. */
  revision = 0;
  /** No longer tracked: answers and deadlines that are still under way concern nobody. */
  isDiscarded = false;

  constructor(facts: EntryFacts, options: { stopFollowsDie: boolean; snapshot?: ClassifierSnapshot }) {
    this.id = facts.id;
    this.name = facts.name;
    this.image = facts.image;
    this.labels = facts.labels;
    this.taskId = taskIdOf(facts.name, facts.labels);
    this.classifier = new ExitClassifier(options);
  }

  /** A task id that is known stays, also through a rename. */
  rename(name: string): void {
    if (name === "") return;
    this.name = name;
    this.taskId ??= taskIdOf(name, this.labels);
  }

  get isUp(): boolean {
    return this.state === "running" || this.state === "paused";
  }

  /** Nothing has been published of it yet: it waits for a name that another container has. */
  get isUntold(): boolean {
    return this.waiting.length > 0 && !this.stateWasSeen && !this.inBaseline;
  }

  /** Signals of it have not been looked at yet: what is known of it is not what was heard. */
  get hasWaiting(): boolean {
    return this.waiting.length > 0 || this.classifier.asking;
  }

  toRecord(): ContainerRecord {
    return {
      id: this.id,
      name: this.name,
      image: this.image,
      ...(this.taskId !== undefined && { taskId: this.taskId }),
      labels: this.labels,
      state: this.state,
      ...(this.isUp && this.health !== undefined && { health: this.health }),
      ...(this.exitCode !== undefined && { exitCode: this.exitCode }),
      ...(this.createdAtNano !== undefined && { createdAt: dateOfNano(this.createdAtNano) }),
      ...(this.startedAtNano !== undefined && { startedAt: dateOfNano(this.startedAtNano) }),
      ...(this.finishedAtNano !== undefined && { finishedAt: dateOfNano(this.finishedAtNano) }),
    };
  }
}

interface Removal {
  readonly forced: boolean;
}

export class ContainerRegistry {
  readonly #live = new Map<string, ContainerEntry>();
  /** Removed ones, the longest removed first. */
  readonly #tombstones = new Map<string, ContainerEntry>();
  /** apex's own removals that are under way, by the container's id: somebody may ask for several at once. */
  readonly #removals = new Map<string, Removal[]>();
  readonly ownKills = new OwnKills();
  readonly #onForgotten: (id: string) => void;

  /** @param options.onForgotten a container that was removed long ago is not remembered any more */
  constructor({ onForgotten = () => {} }: { onForgotten?: (id: string) => void } = {}) {
    this.#onForgotten = onForgotten;
  }

  /** Also finds a container that was removed lately. */
  get(id: string): ContainerEntry | undefined {
    return this.#live.get(id) ?? this.#tombstones.get(id);
  }

  /**
   * Finds a container that exists by its id, its name, or the beginning of its id, in this order.
   * @throws {ApexError} `conflict` for the beginning of several ids
   */
  find(nameOrId: string): ContainerEntry | undefined {
    const exact = this.#live.get(nameOrId);
    if (exact !== undefined || nameOrId === "") return exact;
    const matches: ContainerEntry[] = [];
    for (const entry of this.#live.values()) {
      if (entry.name === nameOrId) return entry;
      if (entry.id.startsWith(nameOrId)) matches.push(entry);
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

  /** One that was removed lately, by its id or name; of several the last. */
  findRemoved(nameOrId: string): ContainerEntry | undefined {
    return this.#tombstones.get(nameOrId) ??
      [...this.#tombstones.values()].findLast(({ name }) => name === nameOrId);
  }

  /** apex itself removes that container now; the returned function takes that back. */
  expectRemoval(id: string, forced: boolean): () => void {
    // A name that the registry does not know yet: its removal could not be told from another one.
    if (!/^[0-9a-f]{64}$/.test(id)) return () => {};
    const removal = { forced };
    this.#removals.set(id, [...this.#removals.get(id) ?? [], removal]);
    return () => {
      const others = this.#removals.get(id)?.filter((each) => each !== removal) ?? [];
      if (others.length > 0) this.#removals.set(id, others);
      else this.#removals.delete(id);
    };
  }

  /** Whether apex has removed it, and by force; undefined: somebody else has. To be asked once. */
  takeRemoval(id: string): Removal | undefined {
    const removals = this.#removals.get(id);
    this.#removals.delete(id);
    return removals && { forced: removals.some(({ forced }) => forced) };
  }

  add(entry: ContainerEntry): void {
    this.#live.set(entry.id, entry);
    if (entry.state === "removed") this.remove(entry);
  }

  /** Turns the entry into a tombstone. */
  remove(entry: ContainerEntry): void {
    entry.state = "removed";
    this.#live.delete(entry.id);
    this.#tombstones.set(entry.id, entry);
    if (this.#tombstones.size > MAX_TOMBSTONES) {
      for (const [oldestId, oldest] of this.#tombstones) {
        oldest.isDiscarded = true;
        this.#tombstones.delete(oldestId);
        this.#onForgotten(oldestId);
        break;
      }
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#removals.clear();
    this.ownKills.clear();
    for (const entries of [this.#live, this.#tombstones]) {
      for (const entry of entries.values()) entry.isDiscarded = true;
      entries.clear();
    }
  }

  /** Those that exist, in the order in which they became known. */
  live(): ContainerEntry[] {
    return [...this.#live.values()];
  }
}

/** The engine's nanoseconds as a `Date`, which holds milliseconds. */
export function dateOfNano(timeNano: number): Date {
  return new Date(Math.floor(timeNano / NANO_PER_MS));
}
