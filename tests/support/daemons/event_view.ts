/** The state that a client keeps from a snapshot and the events after it, by the rules of EVENTS.md. */
import type { Line } from "./lines.ts";

export interface ViewedContainer {
  readonly name: string;
  readonly taskId?: string;
  readonly state: string;
  readonly exitCode?: number;
  readonly health?: string;
}

/** The content of a view. */
export type Subject =
  | { readonly of: "container"; readonly name: string; readonly taskId?: string }
  | { readonly of: "task"; readonly taskId: string };

const TASK_ENDS: readonly string[] = ["task.completed", "task.failed", "task.cancelled"];

export class EventView {
  readonly containers = new Map<string, ViewedContainer>();
  /** The state of tasks that have not ended. */
  readonly tasks = new Map<string, string>();
  /** When the last run of a container ended, if it is known. */
  readonly #endedAt = new Map<string, string>();
  /** Removed ids are not used again, but an exit may be published late. */
  readonly #removed = new Set<string>();

  /** Starts from a snapshot. */
  static of({ containers, tasks }: Line): EventView {
    const view = new EventView();
    for (const { id, endedAt, ...container } of containers) {
      view.containers.set(id, kept(container));
      if (endedAt !== undefined) view.#endedAt.set(id, endedAt);
    }
    for (const { taskId, state } of tasks) view.tasks.set(taskId, state);
    return view;
  }

  apply(event: Line): void {
    const { type, containerId: id, taskId } = event;
    if (type.startsWith("container.")) {
      if (type !== "container.operation_failed" && !this.#removed.has(id)) this.#applyToContainer(event);
    } else if (type === "task.created") this.tasks.set(taskId, "pending");
    else if (type === "task.started") this.tasks.set(taskId, "running");
    else if (TASK_ENDS.includes(type)) this.tasks.delete(taskId);
  }

  /** The content for which `isSeen` is true, in a stable order. */
  shown(isSeen: (subject: Subject) => boolean = () => true): unknown {
    return {
      containers: sorted(this.containers).filter(([, container]) =>
        isSeen({ of: "container", ...container })
      ),
      tasks: sorted(this.tasks).filter(([taskId]) => isSeen({ of: "task", taskId })),
    };
  }

  #applyToContainer({ type, containerId: id, containerName: name, timestamp, ...event }: Line): void {
    const { taskId, exitCode, status } = event;
    const now = this.containers.get(id);
    switch (type) {
      case "container.created":
        return void this.containers.set(id, kept({ name, taskId, state: "created" }));
      case "container.started":
        // Podman may report a start after the end of that run.
        if (timestamp < this.#endedAt.get(id)!) return;
        return void this.containers.set(id, kept({ name, taskId, state: "running" }));
      case "container.died":
      case "container.stopped":
        this.#endedAt.set(id, timestamp);
        return void this.containers.set(id, kept({ name, taskId, state: "exited", exitCode }));
      case "container.removed":
        this.#removed.add(id);
        return void this.containers.delete(id);
      case "container.health": {
        const health = status === "healthy" || status === "unhealthy" ? status : undefined;
        if (now?.state === "running") this.containers.set(id, kept({ ...now, health }));
      }
    }
  }
}

/** The existing fields that a view keeps. */
function kept({ name, taskId, state, exitCode, health }: Line): ViewedContainer {
  return {
    name,
    ...(taskId !== undefined && { taskId }),
    state,
    ...(exitCode !== undefined && { exitCode }),
    ...(health !== undefined && { health }),
  };
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => a < b ? -1 : 1);
}
