/** A failed operation: the error that its caller gets, the event that everyone gets, and the meaning of refusals. */
import { EngineError } from "../../engine/http/engine_error.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { ContainerEvents, ContainerOperation } from "../changes/container_events.ts";
import type { OperationSubject } from "./container_targets.ts";

/** The event under whose name the failure of an operation is published: that of its success. */
export const FAILURE_EVENT_NAMES = {
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

/**
 * Adds what failed to an error: `cannot stop container web: <the engine's reason>`. Code and status stay. An error that is
 * neither the engine's nor apex's is returned unchanged.
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

/** The engine also replies 404 for other missing things, a network for example. */
export function isMissingImage(error: unknown): boolean {
  return error instanceof EngineError && error.status === 404 &&
    /no such image|image not known/i.test(error.engineMessage ?? "");
}

/** Podman without its init (catatonit) refuses to create a container with one. */
export function isMissingInit(error: unknown): boolean {
  return error instanceof EngineError && /init binary|catatonit/i.test(error.engineMessage ?? "");
}

/** The engine refuses to signal a container that does not run, or does not exist. */
export function hasNoProcess(error: unknown): boolean {
  return error instanceof EngineError && (error.code === "conflict" || error.code === "not_found");
}

/** The engine refuses a second removal of a container while the first one is under way; only its words say so. */
export function isBeingRemoved(error: unknown): boolean {
  return error instanceof EngineError && error.code === "conflict" &&
    /removal of container .* is already in progress/i.test(error.engineMessage ?? "");
}

/** The engine's own words, without Docker's beginning of one reason, which the message already says. */
function reasonOf({ engineMessage, message }: EngineError): string {
  return engineMessage?.replace(/^Cannot kill container: [^:]+: /, "") ?? message;
}
