/** An operation that failed, as the error that its caller gets and as the event that everybody else hears. */
import { EngineError } from "../../engine/http/engine_error.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { taskIdOf } from "../apex_labels.ts";
import type {
  ContainerEvents,
  ContainerOperation,
  ContainerOperationFailedEvent,
} from "../changes/container_events.ts";
import type { ContainerSpec } from "./container_spec.ts";

/** What an operation was asked for, as far as it is known. */
export type OperationSubject = Pick<
  ContainerOperationFailedEvent,
  "containerId" | "containerName" | "image" | "taskId"
>;

/** What is known of a container that is to be created. */
export function subjectOfSpec({ name, image, labels = {} }: ContainerSpec): OperationSubject {
  const taskId = taskIdOf(name ?? "", labels);
  return {
    ...(name !== undefined && { containerName: name }),
    image,
    ...(taskId !== undefined && { taskId }),
  };
}

/** The event's name under which each operation's failure is told: that of what would have happened. */
const EVENT_NAMES = {
  create: "container:created",
  start: "container:started",
  stop: "container:stopped",
  kill: "container:stopped",
  restart: "container:stopped",
  remove: "container:removed",
  rename: "container:operation_failed",
  pause: "container:operation_failed",
  unpause: "container:operation_failed",
  exec: "container:operation_failed",
} as const satisfies Record<ContainerOperation, keyof ContainerEvents>;

/** Names that {@linkcode failureEventName} can give. */
export type FailureEventName = (typeof EVENT_NAMES)[ContainerOperation];

export function failureEventName(operation: ContainerOperation): FailureEventName {
  return EVENT_NAMES[operation];
}

/**
 * `cannot stop container web: <the engine's reason>`; code and status stay. A programmer's mistake stays as it is.
 * @param what `stop container web`
 */
export function withContext(what: string, cause: unknown): unknown {
  if (cause instanceof EngineError) {
    const { code, status, engineMessage } = cause;
    return new EngineError(`cannot ${what}: ${reasonOf(cause)}`, {
      cause,
      code,
      ...(status !== undefined && { status }),
      ...(engineMessage !== undefined && { engineMessage }),
    });
  }
  if (cause instanceof ApexError) {
    return new ApexError(cause.code, `cannot ${what}: ${cause.message}`, { cause });
  }
  return cause;
}

/** How messages name a container. */
export function describe({ containerName, containerId, image }: OperationSubject): string {
  const which = containerName ?? containerId?.slice(0, 12);
  return which !== undefined ? `container ${which}` : `a container of image ${image}`;
}

/** The engine's own words, without what the message says anyhow; Docker begins one of its reasons so itself. */
function reasonOf({ engineMessage, message }: EngineError): string {
  return engineMessage?.replace(/^Cannot kill container: [^:]+: /, "") ?? message;
}
