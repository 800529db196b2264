/** From an in-process event to the one that crosses a socket: dots for colons, RFC 3339 for `Date`, no `success`. */
import type {
  ContainerEvents,
  EngineConnectedEvent,
  EngineDisconnectedEvent,
} from "../../containers/changes/container_events.ts";
import type { EngineKind } from "../../engine/engine_client.ts";
import type { TaskEvents } from "../../orchestrator/task_events.ts";
import type { WireEvent } from "../../protocol/wire_event.ts";
import type { SessionEvents } from "../../sessions/session.ts";
import type { WorkspaceEvents } from "../../workspaces/workspace.ts";

/** Everything in the process that has a wire form. */
export interface PublishedEvents extends ContainerEvents, WorkspaceEvents, TaskEvents, SessionEvents {
  "engine:connected": EngineConnectedEvent;
  "engine:disconnected": EngineDisconnectedEvent & { readonly engine: EngineKind };
}

/**
 * The wire form of one event. Fields keep their order and names; `undefined` ones are left out. What failed is
 * `container.operation_failed`, under whatever name it came: a `container.stopped` means that something stopped.
 *
 * @param name the in-process name, `container:died` or `workspace-created` for example
 */
export function toWireEvent<N extends keyof PublishedEvents>(name: N, event: PublishedEvents[N]): WireEvent {
  const failed = "success" in event && event.success === false;
  const wire: Record<string, unknown> = {
    type: failed ? "container.operation_failed" : name.replace(/[:-]/, "."),
  };
  for (const [key, value] of Object.entries(event)) {
    if (value === undefined || key === "success") continue;
    wire[key] = value instanceof Date ? value.toISOString() : value;
  }
  // The payloads name the same fields as the wire schemas; wire_form_test.ts parses each with its schema.
  return wire as unknown as WireEvent;
}
