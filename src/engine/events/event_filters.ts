import type { EngineKind } from "../engine_types.ts";

/**
 * What Docker is asked for: every action that changes a container's state or name. So the engine itself leaves out
 * `exec_*` (each health probe makes three), `attach`, `resize`, `top`, `copy`. The bare `health_status` makes Docker match
 * all of these as prefixes (moby#25798), which is how `health_status: unhealthy` gets through.
 */
const DOCKER_EVENT_ACTIONS = [
  "create",
  "start",
  "restart",
  "kill",
  "oom",
  "die",
  "stop",
  "pause",
  "unpause",
  "rename",
  "destroy",
  "health_status",
] as const;

/** The `filters` of `/events` that leave containers' lives in the stream, and as little else as the engine allows. */
export function eventFilters(kind: EngineKind): Readonly<Record<string, readonly string[]>> {
  // Podman has other names for its actions and refuses filters it does not know.
  return kind === "podman" ? { type: ["container"] } : { type: ["container"], event: DOCKER_EVENT_ACTIONS };
}
