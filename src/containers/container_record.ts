/** What apex knows of one container: the record that callers get, and the entry from which it is made. */
import { NANO_PER_MS } from "../engine/events/engine_time.ts";
import type { HealthStatus } from "../protocol/wire_event.ts";
import { taskIdOf } from "./apex_labels.ts";
import { ReplayState } from "./changes/replay_state.ts";

/** The engine's own words for a container's state; `removed` is never listed. */
export type ContainerState = "created" | "running" | "paused" | "restarting" | "exited" | "removed";

/** A container as its published events describe it. */
export interface ContainerRecord {
  /** The engine's full id. */
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  readonly image: string;
  readonly taskId?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: ContainerState;
  /** Present when the container has a health check whose result is known. */
  readonly health?: HealthStatus;
  /** Of the last run, once it has ended and when it is known. */
  readonly exitCode?: number;
  readonly createdAt?: Date;
  /** Start of the last run. */
  readonly startedAt?: Date;
  /** End of the last run, once it has ended. */
  readonly endedAt?: Date;
}

/** What is known of a container from the first mention of it. */
export type ContainerFacts = Pick<ContainerRecord, "id" | "name" | "image" | "labels">;

/**
 * The mutable side of a record. Only the change publisher writes to it, in the synchronous block in which it publishes
 * the change. Exceptions: the baseline, a restored checkpoint, and facts that an inspect adds without a change.
 */
export class ContainerEntry {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly replay = new ReplayState();
  name: string;
  image: string;
  taskId: string | undefined;
  state: ContainerState = "created";
  health: HealthStatus | undefined;
  /** `health` comes from apex's own watch on what the container uses, not from the engine's checks. */
  healthIsWatched = false;
  exitCode: number | undefined;
  createdAtNano: number | undefined;
  startedAtNano: number | undefined;
  finishedAtNano: number | undefined;

  constructor({ id, name, image, labels }: ContainerFacts) {
    this.id = id;
    this.name = name;
    this.image = image;
    this.labels = labels;
    this.taskId = taskIdOf(name, labels);
  }

  /** A task id that is known stays, also after a rename. */
  rename(name: string): void {
    if (name === "") return;
    this.name = name;
    this.taskId ??= taskIdOf(name, this.labels);
  }

  get isUp(): boolean {
    return this.state === "running" || this.state === "paused";
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
      ...(this.finishedAtNano !== undefined && { endedAt: dateOfNano(this.finishedAtNano) }),
    };
  }
}

/** The engine's nanoseconds as a `Date`, which holds milliseconds. */
export function dateOfNano(timeNano: number): Date {
  return new Date(Math.floor(timeNano / NANO_PER_MS));
}
