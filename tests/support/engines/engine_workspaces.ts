/** The layers up to the WorkspaceManager on a real engine, with what they tell kept in short form. */
import { CONTAINER_EVENT_NAMES } from "../../../src/containers/changes/container_events.ts";
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { ContainerHealthMonitor } from "../../../src/containers/health/container_health_monitor.ts";
import { EngineClient } from "../../../src/engine/engine_client.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { WorkspaceEvent, WorkspaceSpec } from "../../../src/workspaces/workspace.ts";
import { WorkspaceManager } from "../../../src/workspaces/workspace_manager.ts";
import { within } from "../within.ts";

/** An engine on a busy machine needs seconds at most. */
const COMES_WITHIN_MS = 20_000;

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
          this.#note(`${name.replace("container:", "")} ${event.taskId ?? event.containerName}`);
        } else this.#note(`${event.operation} failed`);
      });
    }
    for (const name of ["workspace-created", "workspace-cleaned"] as const) {
      this.workspaces.on(name, (event) => {
        this.events.push(event);
        this.#note(`${name} ${event.taskId}`);
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
    await within(COMES_WITHIN_MS, "the engine", connected.promise);
    return layers;
  }

  /** Waits until something was told so often. */
  async until(what: string, times = 1): Promise<void> {
    const came = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.seen.filter((each) => each === what).length >= times) came.resolve();
    };
    this.#waiting.add(look);
    look();
    try {
      await within(COMES_WITHIN_MS, `"${what}", after ${this.seen.join(", ")}`, came.promise);
    } finally {
      this.#waiting.delete(look);
    }
  }

  /** Removes behind apex's back. */
  async removeByHand(id: string): Promise<void> {
    const reply = await this.client.request("DELETE", `/containers/${id}`, { query: { force: 1 } });
    await reply.body?.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspaces[Symbol.asyncDispose]();
    await this.health[Symbol.asyncDispose]();
    await within(COMES_WITHIN_MS, "the end of the container manager", this.manager[Symbol.asyncDispose]());
    this.client[Symbol.dispose]();
  }

  #note(what: string): void {
    this.seen.push(what);
    for (const look of this.#waiting) look();
  }
}

/** A workspace whose container does what `script` says. */
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
