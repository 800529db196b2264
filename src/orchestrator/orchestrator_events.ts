import type { ContainerEventName, ContainerEvents } from "../containers/changes/container_events.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import type { WorkspaceEvents } from "../workspaces/workspace.ts";
import type { TaskEvent, TaskEventName, TaskEvents } from "./task_events.ts";

/** Everything that {@linkcode ApexOrchestrator} tells, by name. */
export interface OrchestratorEvents extends ContainerEvents, WorkspaceEvents, TaskEvents {}

export type OrchestratorEventName = keyof OrchestratorEvents;

/** Any of the forwarded container events. */
export type AnyContainerEvent = ContainerEvents[ContainerEventName];

/** A listener of `container:*`: the event, and which one it is. */
export type AnyContainerListener = (event: AnyContainerEvent, name: ContainerEventName) => void;

/** A listener of `task:*`: the event, and which one it is. */
export type AnyTaskListener = (event: TaskEvent, name: TaskEventName) => void;

/** A listener of the event that is called `Name`. */
export type OrchestratorListener<Name extends OrchestratorEventName> = ListenerOf<OrchestratorEvents, Name>;

/**
 * One emitter for each family of events, as each family has listeners of all its events. Those of an event's own name are
 * called before them.
 */
export class OrchestratorEmitter {
  readonly #containers: TypedEmitter<ContainerEvents>;
  readonly #workspaces: TypedEmitter<WorkspaceEvents>;
  readonly #tasks: TypedEmitter<TaskEvents>;

  constructor(logger: Logger) {
    const report = (error: unknown, name: string): void =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`);
    this.#containers = new TypedEmitter(report);
    this.#workspaces = new TypedEmitter(report);
    this.#tasks = new TypedEmitter(report);
  }

  emit<Name extends OrchestratorEventName>(name: Name, event: OrchestratorEvents[Name]): void {
    this.#of(name).emit(name, event);
  }

  on<Name extends OrchestratorEventName>(name: Name, listener: OrchestratorListener<Name>): void {
    this.#of(name).on(name, listener);
  }

  once<Name extends OrchestratorEventName>(name: Name, listener: OrchestratorListener<Name>): void {
    this.#of(name).once(name, listener);
  }

  off<Name extends OrchestratorEventName>(name: Name, listener: OrchestratorListener<Name>): void {
    this.#of(name).off(name, listener);
  }

  /** The listeners of all container events. */
  get anyContainer(): Pick<TypedEmitter<ContainerEvents>, "onAny" | "onceAny" | "offAny"> {
    return this.#containers;
  }

  /** The listeners of all task events. */
  get anyTask(): Pick<TypedEmitter<TaskEvents>, "onAny" | "onceAny" | "offAny"> {
    return this.#tasks;
  }

  /** Of one event, or of all together. */
  listenerCount(name?: OrchestratorEventName): number {
    if (name !== undefined) return this.#of(name).listenerCount(name);
    return this.#all().reduce((sum, emitter) => sum + emitter.listenerCount(), 0);
  }

  removeAllListeners(): void {
    for (const emitter of this.#all()) emitter.removeAllListeners();
  }

  #all(): { listenerCount(): number; removeAllListeners(): void }[] {
    return [this.#containers, this.#workspaces, this.#tasks];
  }

  /** The family is known by the beginning of the name, and has that event: the types cannot follow that. */
  #of<Name extends OrchestratorEventName>(name: Name): TypedEmitter<Pick<OrchestratorEvents, Name>> {
    const family = name.startsWith("container:")
      ? this.#containers
      : name.startsWith("task:")
      ? this.#tasks
      : this.#workspaces;
    return family as unknown as TypedEmitter<Pick<OrchestratorEvents, Name>>;
  }
}
