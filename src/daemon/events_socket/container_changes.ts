import type { AnyContainerEvent, AnyContainerListener } from "../../orchestrator/orchestrator_events.ts";
import type { HealthStatus } from "../../protocol/wire_event.ts";

/** What happened to a container, as far as somebody may wait for it. */
export type ContainerChange =
  | { readonly kind: "started" }
  | { readonly kind: "ended"; readonly exitCode?: number }
  | { readonly kind: "removed"; readonly exitCode?: number }
  | { readonly kind: "health"; readonly status: HealthStatus };

/** Where the events come from: the orchestrator. */
export interface ContainerEventSource {
  on(name: "container:*", listener: AnyContainerListener): unknown;
}

/**
 * Tells each change of a container to those who watch that one: however many wait, an event costs only those that it
 * concerns. Listens for as long as its source lives.
 */
export class ContainerChanges {
  readonly #watching = new Map<string, Set<(change: ContainerChange) => void>>();

  constructor(source: ContainerEventSource) {
    source.on("container:*", (event, name) => {
      const { containerId } = event;
      const listeners = containerId === undefined ? undefined : this.#watching.get(containerId);
      const change = listeners && changeOf(event, name);
      if (change !== undefined) { for (const listener of [...listeners ?? []]) listener(change); }
    });
  }

  /** Calls the listener, synchronously, with each change of the container from now on; returns what ends that. */
  watch(containerId: string, listener: (change: ContainerChange) => void): () => void {
    const listeners = this.#watching.get(containerId) ?? new Set();
    this.#watching.set(containerId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#watching.get(containerId) === listeners) {
        this.#watching.delete(containerId);
      }
    };
  }
}

function changeOf(
  event: AnyContainerEvent,
  name: Parameters<AnyContainerListener>[1],
): ContainerChange | undefined {
  // An operation of apex that failed: nothing happened.
  if (!event.success) return undefined;
  const exit = "exitCode" in event && event.exitCode !== undefined ? { exitCode: event.exitCode } : {};
  switch (name) {
    case "container:started":
      return { kind: "started" };
    case "container:stopped":
    case "container:died":
      return { kind: "ended", ...exit };
    case "container:removed":
      return { kind: "removed", ...exit };
    case "container:health":
      return "status" in event ? { kind: "health", status: event.status } : undefined;
    default:
      return undefined;
  }
}
