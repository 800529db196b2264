import type { ContainerEventName, ContainerEvents } from "../containers/changes/container_events.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import type { WorkspaceEvents } from "../workspaces/workspace.ts";
import type { TaskEvent, TaskEventName, TaskEvents } from "./task.ts";

/** Everything that {@linkcode ApexOrchestrator} emits, by name. */
export interface OrchestratorEvents extends ContainerEvents, WorkspaceEvents, TaskEvents {}

export type OrchestratorEventName = keyof OrchestratorEvents;

/** Any of the forwarded container events. */
export type AnyContainerEvent = ContainerEvents[ContainerEventName];

/** A listener of `container:*`. */
export type AnyContainerListener = (event: AnyContainerEvent, name: ContainerEventName) => void;

/** A listener of `task:*`. */
export type AnyTaskListener = (event: TaskEvent, name: TaskEventName) => void;

/** The name of one event, or of all events of a family. */
export type OrchestratorListenerName = OrchestratorEventName | "container:*" | "task:*";

/** A listener that is added with that name. */
export type OrchestratorListener<Name extends OrchestratorListenerName> = [Name] extends ["container:*"]
  ? AnyContainerListener
  : [Name] extends ["task:*"] ? AnyTaskListener
  : ListenerOf<OrchestratorEvents, Name & OrchestratorEventName>;

/** One emitter for each family of events. The listeners of an event's own name are called before those of its family. */
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
    this.#family(name).emit(name, event);
  }

  on<Name extends OrchestratorListenerName>(name: Name, listener: OrchestratorListener<Name>): void {
    if (isWildcard(name)) this.#family(name).onAny(listener);
    else this.#family(name).on(name, listener);
  }

  once<Name extends OrchestratorListenerName>(name: Name, listener: OrchestratorListener<Name>): void {
    if (isWildcard(name)) this.#family(name).onceAny(listener);
    else this.#family(name).once(name, listener);
  }

  off<Name extends OrchestratorListenerName>(name: Name, listener: OrchestratorListener<Name>): void {
    if (isWildcard(name)) this.#family(name).offAny(listener);
    else this.#family(name).off(name, listener);
  }

  /** Of one event, or of all. */
  listenerCount(name?: OrchestratorEventName): number {
    if (name !== undefined) return this.#family(name).listenerCount(name);
    return this.#all().reduce((sum, emitter) => sum + emitter.listenerCount(), 0);
  }

  removeAllListeners(): void {
    for (const emitter of this.#all()) emitter.removeAllListeners();
  }

  #all(): { listenerCount(): number; removeAllListeners(): void }[] {
    return [this.#containers, this.#workspaces, this.#tasks];
  }

  #family(name: string): UntypedEmitter {
    const family = name.startsWith("container:")
      ? this.#containers
      : name.startsWith("task:")
      ? this.#tasks
      : this.#workspaces;
    return family as unknown as UntypedEmitter;
  }
}

/** The emitter of a family, which the prefix of a name selects. The types of the public methods ensure that the two match. */
interface UntypedEmitter {
  emit(name: string, event: unknown): void;
  on(name: string, listener: unknown): void;
  once(name: string, listener: unknown): void;
  off(name: string, listener: unknown): void;
  onAny(listener: unknown): void;
  onceAny(listener: unknown): void;
  offAny(listener: unknown): void;
  listenerCount(name: string): number;
}

function isWildcard(name: string): boolean {
  return name.endsWith(":*");
}
