/**
 * The whole bridge on a real engine, from the manager to `ApexOrchestrator.on("container:*")`. Collects what it publishes by
 * container, in short form: `died 3`, `stopped 0 graceful`, `removed 3 reconciled`.
 */
import { ContainerManager } from "../../../src/containers/container_manager.ts";
import { ContainerHealthMonitor } from "../../../src/containers/health/container_health_monitor.ts";
import type { EngineClient } from "../../../src/engine/engine_client.ts";
import { ApexOrchestrator } from "../../../src/orchestrator/apex_orchestrator.ts";
import type { AnyContainerEvent } from "../../../src/orchestrator/orchestrator_events.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import { openStorage, type Storage } from "../../../src/storage/storage.ts";
import { WorkspaceManager } from "../../../src/workspaces/workspace_manager.ts";
import { within } from "../within.ts";

/** An engine on a busy machine needs some seconds, as does the longest backoff after a fault. */
const EVENT_TIMEOUT_MS = 20_000;

export class RealBridge implements AsyncDisposable {
  readonly #manager: ContainerManager;
  readonly #health: ContainerHealthMonitor;
  readonly #workspaces: WorkspaceManager;
  readonly #orchestrator: ApexOrchestrator;
  readonly #storage: Storage;
  /** The first name of each container, by id. */
  readonly #names = new Map<string, string>();
  readonly #seen = new Map<string, string[]>();
  readonly #waiting = new Set<() => void>();
  #connections = 0;
  #losses = 0;

  /** The caller disposes the client. */
  constructor(client: EngineClient) {
    this.#manager = new ContainerManager({ client, clock: systemClock, logger: silentLogger });
    this.#health = new ContainerHealthMonitor({ manager: this.#manager, logger: silentLogger });
    this.#workspaces = new WorkspaceManager({
      manager: this.#manager,
      health: this.#health,
      logger: silentLogger,
    });
    this.#storage = openStorage({ path: ":memory:", logger: silentLogger, clock: systemClock });
    this.#orchestrator = new ApexOrchestrator({
      workspaces: this.#workspaces,
      store: this.#storage.tasks,
    });
    this.#manager.on("engine:connected", () => {
      this.#connections++;
      this.wake();
    });
    this.#manager.on("engine:disconnected", () => {
      this.#losses++;
      this.wake();
    });
    this.#orchestrator.on("container:*", (event, name) => {
      if (!event.success) throw new Error(`unexpected failure of an operation: ${event.error}`);
      const filed = this.#names.get(event.containerId) ?? event.containerName;
      this.#names.set(event.containerId, filed);
      const renamed = filed === event.containerName ? "" : ` as ${event.containerName}`;
      this.#seen.set(filed, [...this.of(filed), shortForm(event, name) + renamed]);
      this.wake();
    });
    this.#manager.follow();
  }

  get connections(): number {
    return this.#connections;
  }

  get losses(): number {
    return this.#losses;
  }

  /** The events of a container, oldest first, by its first name. */
  of(name: string): string[] {
    return this.#seen.get(name) ?? [];
  }

  /** Waits until a container has `count` events. */
  async until(name: string, count: number): Promise<void> {
    await this.untilTrue(
      () => this.of(name).length >= count,
      `${count} events of ${name}`,
      () => this.of(name).join(", "),
    );
  }

  async untilConnected(times = 1): Promise<void> {
    await this.untilTrue(() => this.#connections >= times, `connection ${times}`);
  }

  async untilLost(times = 1): Promise<void> {
    await this.untilTrue(() => this.#losses >= times, `loss ${times} of the connection`);
  }

  /** @param soFar for the error message */
  async untilTrue(isSo: () => boolean, what: string, soFar: () => string = () => "that"): Promise<void> {
    const became = Promise.withResolvers<void>();
    const wake = (): void => {
      if (isSo()) became.resolve();
    };
    this.#waiting.add(wake);
    wake();
    try {
      await within(EVENT_TIMEOUT_MS, what, became.promise);
    } catch (cause) {
      throw new Error(`it did not come: ${what}; so far: ${soFar()}`, { cause });
    } finally {
      this.#waiting.delete(wake);
    }
  }

  /** Checks all waits again. */
  wake(): void {
    for (const wake of this.#waiting) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orchestrator.dispose();
    this.#storage[Symbol.dispose]();
    this.#workspaces[Symbol.dispose]();
    this.#health[Symbol.dispose]();
    await within(EVENT_TIMEOUT_MS, "the end of the container manager", this.#manager[Symbol.asyncDispose]());
  }
}

function shortForm(event: Extract<AnyContainerEvent, { success: true }>, name: string): string {
  const words: string[] = [name.replace("container:", "")];
  if ("exitCode" in event && event.exitCode !== undefined) words.push(String(event.exitCode));
  if ("signal" in event && event.signal !== undefined) words.push(event.signal);
  if ("graceful" in event && event.graceful) words.push("graceful");
  if ("oomKilled" in event && event.oomKilled) words.push("oom");
  if ("status" in event) words.push(event.status);
  if (event.origin !== undefined) words.push(event.origin);
  return words.join(" ");
}
