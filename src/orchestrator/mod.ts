/** The API for programs that embed apex. */
import { ContainerManager } from "../containers/container_manager.ts";
import { ContainerHealthMonitor } from "../containers/health/container_health_monitor.ts";
import type { HealthWatchOptions } from "../containers/health/health_watch_options.ts";
import { discoverEngine } from "../engine/discovery/engine_address.ts";
import { EngineClient } from "../engine/engine_client.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { systemClock } from "../platform/clock.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import { loadInstanceId, newInstanceId } from "../storage/instance_file.ts";
import { IN_MEMORY } from "../storage/sqlite_connection.ts";
import { openStorage } from "../storage/storage.ts";
import { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import { ApexOrchestrator } from "./apex_orchestrator.ts";

export * from "./apex_orchestrator.ts";
export type * from "./orchestrator_events.ts";
export type * from "./task.ts";
export type * from "../workspaces/workspace.ts";
export type * from "../containers/changes/container_events.ts";
export type { ContainerManagerOptions } from "../containers/container_manager.ts";
export type { ContainerRecord } from "../containers/container_record.ts";
export type { Storage } from "../storage/storage.ts";
export { ContainerHealthMonitor, ContainerManager, openStorage, WorkspaceManager };
export type { HealthWatchOptions };

/** Options of {@linkcode openOrchestrator}. */
export interface OpenOrchestratorOptions {
  /** `auto` (the default), `docker`, `podman` or `unix://PATH`. */
  readonly engine?: string;
  /**
   * The SQLite file that stores the tasks. One process at a time may open it. The file with `-instance` appended to its name
   * holds the id by which this instance knows its containers. Default: both are in memory, and are lost with the process.
   */
  readonly storePath?: string;
  readonly logger?: Logger;
  readonly maxConcurrentTasks?: number;
  /** Watches the health of containers without a health check. Default: off. */
  readonly healthWatch?: Partial<HealthWatchOptions>;
  /** Ends the wait for the engine. */
  readonly abort?: AbortSignal;
}

/** The layers of the bridge. Disposal ends them all; running tasks continue. */
export interface OpenOrchestrator extends AsyncDisposable {
  readonly orchestrator: ApexOrchestrator;
  readonly workspaces: WorkspaceManager;
  readonly health: ContainerHealthMonitor;
  readonly containers: ContainerManager;
}

/**
 * Opens the whole bridge in this process, without a daemon and without sockets. Resolves when the engine's containers are
 * known, and the stored tasks of an earlier process are resumed. Waits for an engine that cannot be reached yet.
 *
 * @throws {ApexError} `engine` if no engine is found; `failed` if the `-instance` file is damaged
 * @throws the reason of `abort`
 */
export async function openOrchestrator(options: OpenOrchestratorOptions = {}): Promise<OpenOrchestrator> {
  const { engine = "auto", storePath = IN_MEMORY, logger = silentLogger, abort } = options;
  if (engine === "embedded") {
    throw new ApexError(
      "usage",
      "the embedded engine runs as a separate process: start apex engine --listen PATH, and use unix://PATH",
    );
  }
  abort?.throwIfAborted();
  const clock = systemClock;
  await using parts = new AsyncDisposableStack();
  const address = await discoverEngine({
    engine,
    engineSource: "openOrchestrator()",
    env: (name) => Deno.env.get(name),
    embeddedSocketPath: "",
  });
  const client = parts.use(new EngineClient({ ...address, logger }));
  const instance = storePath === IN_MEMORY ? newInstanceId() : await loadInstanceId(`${storePath}-instance`);
  const containers = parts.use(new ContainerManager({ client, clock, logger, instance }));
  const watch = options.healthWatch;
  const health = parts.use(
    new ContainerHealthMonitor({ manager: containers, logger, clock, ...(watch && { watch }) }),
  );
  const workspaces = parts.use(new WorkspaceManager({ manager: containers, health, logger, clock }));
  const { tasks: store } = parts.use(openStorage({ path: storePath, logger, clock }));
  const { maxConcurrentTasks } = options;
  const orchestrator = parts.use(
    new ApexOrchestrator({
      workspaces,
      store,
      logger,
      clock,
      ...(maxConcurrentTasks !== undefined && { maxConcurrentTasks }),
    }),
  );
  await connected(containers, abort);
  await orchestrator.adopt();
  const owned = parts.move();
  return {
    orchestrator,
    workspaces,
    health,
    containers,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function connected(containers: ContainerManager, abort: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  containers.once("engine:connected", () => resolve());
  containers.follow();
  await settlesWithin(promise, { abort });
  abort?.throwIfAborted();
}
