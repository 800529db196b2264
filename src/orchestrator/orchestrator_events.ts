import type { ContainerEventName, ContainerEvents } from "../containers/changes/container_events.ts";
import type { ListenerOf } from "../platform/typed_emitter.ts";
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
