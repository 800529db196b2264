/** The layers up to the WorkspaceManager on a real engine. Their events are recorded in a short form. */
import { CONTAINER_EVENT_NAMES } from "../../../src/containers/changes/container_events.ts";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { ContainerHealthMonitor } from "../../../src/containers/health/container_health_monitor.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { WorkspaceEvent, WorkspaceSpec } from "../../../src/workspaces/workspace.ts";
import { WorkspaceManager } from "../../../src/workspaces/workspace_manager.ts";
import { within } from "../within.ts";

/** Longer than an engine needs on a busy machine. */
const WITHIN_MS = 20_000;

export class EngineWorkspaces implements AsyncDisposable {
  readonly client: EngineClient;
  readonly manager: ContainerManager;
  readonly health: ContainerHealthMonitor;
  readonly workspaces: WorkspaceManager;
  /** `created t1`, `workspace-created t1`, …; failures as `remove failed`. */
  readonly seen: string[] = [];
  readonly events: WorkspaceEvent[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(socketPath: string, instance: string) {
    this.client = new EngineClient({ socketPath });
    const options = { logger: silentLogger, clock: systemClock };
    this.manager = new ContainerManager({ ...options, client: this.client, instance });
    this.health = new ContainerHealthMonitor({ ...options, manager: this.manager });
    this.workspaces = new WorkspaceManager({ ...options, manager: this.manager, health: this.health });
    for (const name of CONTAINER_EVENT_NAMES) {
      this.workspaces.on(name, (event) => {
        if (event.success) {
          this.#record(`${name.replace("container:", "")} ${event.taskId ?? event.containerName}`);
        } else this.#record(`${event.operation} failed`);
      });
    }
    for (const name of ["workspace-created", "workspace-cleaned"] as const) {
      this.workspaces.on(name, (event) => {
        this.events.push(event);
        this.#record(`${name} ${event.taskId}`);
      });
    }
  }

  /**
   * Follows the engine; resolves when its containers are known.
   *
   * @param options.instance the id of the apex instance; by default the same for all
   */
  static async start(
    socketPath: string,
    { instance = "0123456789abcdef" }: { readonly instance?: string } = {},
  ): Promise<EngineWorkspaces> {
    const layers = new EngineWorkspaces(socketPath, instance);
    const connected = Promise.withResolvers<void>();
    layers.manager.once("engine:connected", () => connected.resolve());
    layers.manager.follow();
    await within(WITHIN_MS, "the engine", connected.promise);
    return layers;
  }

  /** Waits until an event was recorded `times` times. */
  async until(what: string, times = 1): Promise<void> {
    const seen = Promise.withResolvers<void>();
    const check = (): void => {
      if (this.seen.filter((each) => each === what).length >= times) seen.resolve();
    };
    this.#waiting.add(check);
    check();
    try {
      await within(WITHIN_MS, `"${what}", after ${this.seen.join(", ")}`, seen.promise);
    } finally {
      this.#waiting.delete(check);
    }
  }

  /** Removes a container without apex. */
  async removeByHand(id: string): Promise<void> {
    const reply = await this.client.request("DELETE", `/containers/${id}`, { query: { force: 1 } });
    await reply.body?.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspaces[Symbol.asyncDispose]();
    await this.health[Symbol.asyncDispose]();
    await within(WITHIN_MS, "the end of the container manager", this.manager[Symbol.asyncDispose]());
    this.client[Symbol.dispose]();
  }

  #record(what: string): void {
    this.seen.push(what);
    for (const check of this.#waiting) check();
  }
}

/** Returns the specification of a workspace whose container runs `script`. */
export function specOf(
  taskId: string,
  script: string,
  { projectDir, ...rest }: Partial<Omit<WorkspaceSpec, "taskId">> & { readonly projectDir?: string } = {},
): WorkspaceSpec {
  return {
    taskId,
    policy: { cleanupOnComplete: true, preserveOnFailure: false },
    ...rest,
    container: {
      image: "busybox:local",
      cmd: ["sh", "-c", script],
      network: "none",
      ...(projectDir !== undefined && { projectDir }),
      ...rest.container,
    },
  };
}
