/** What the engine means by a refusal that its status alone does not say. */
import { EngineError } from "../../engine/http/engine_error.ts";

/** The engine has 404 for other things too, a network for example. */
export function isMissingImage(error: unknown): boolean {
  return error instanceof EngineError && error.status === 404 &&
    /no such image|image not known/i.test(error.engineMessage ?? "");
}

/** Podman without its init (catatonit), asked for a container with one. */
export function isMissingInit(error: unknown): boolean {
  return error instanceof EngineError && /init binary|catatonit/i.test(error.engineMessage ?? "");
}

/** Asked to signal a container: it does not run (any more), or is gone. */
export function hasNoProcess(error: unknown): boolean {
  return error instanceof EngineError && (error.code === "conflict" || error.code === "not_found");
}

/** The engine's words, which it has no status of its own for. */
export function isBeingRemoved(error: unknown): boolean {
  return error instanceof EngineError && error.code === "conflict" &&
    /removal of container .* is already in progress/i.test(error.engineMessage ?? "");
}
