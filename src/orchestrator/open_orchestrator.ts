import { ContainerManager } from "../containers/container_manager.ts";
import { ContainerHealthMonitor } from "../containers/health/container_health_monitor.ts";
import type { HealthWatchOptions } from "../containers/health/health_watch_options.ts";
import { discoverEngine } from "../engine/discovery/engine_address.ts";
import { EngineClient } from "../engine/engine_client.ts";
import { ApexError } from "../platform/apex_error.ts";
import { systemClock } from "../platform/clock.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import { loadInstanceId, newInstanceId } from "../storage/instance_file.ts";
import { IN_MEMORY } from "../storage/sqlite_connection.ts";
import { openStorage } from "../storage/storage.ts";
import { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import { ApexOrchestrator } from "./apex_orchestrator.ts";

export interface OpenOrchestratorOptions {
  /** `auto` (the default), `docker`, `podman` or `unix://PATH`. */
  readonly engine?: string;
  /**
   * The SQLite file in which tasks are kept, for one process at a time. The file with `-instance` behind its name holds the
   * id by which this instance knows its containers. Default: both in memory, gone with the process.
   */
  readonly storePath?: string;
  readonly logger?: Logger;
  readonly maxConcurrentTasks?: number;
  /** Watches containers without a health check. Default: off. */
  readonly healthWatch?: Partial<HealthWatchOptions>;
  /** Gives up waiting for the engine. */
  readonly signal?: AbortSignal;
}

/** Every layer of the bridge, joined; disposing takes them apart and leaves running tasks running. */
export interface OpenOrchestrator extends AsyncDisposable {
  readonly orchestrator: ApexOrchestrator;
  readonly workspaces: WorkspaceManager;
  readonly health: ContainerHealthMonitor;
  readonly containers: ContainerManager;
}

/**
 * The whole bridge in this process, without daemon and sockets. Resolves when the engine's containers are known and the
 * tasks of an earlier life, if any are stored, have been taken up.
 *
 * @throws {ApexError} `engine` when none is found; `failed` for a damaged `-instance` file; the signal's reason
 */
export async function openOrchestrator(options: OpenOrchestratorOptions = {}): Promise<OpenOrchestrator> {
  const { engine = "auto", storePath = IN_MEMORY, logger = silentLogger, signal } = options;
  if (engine === "embedded") {
    throw new ApexError(
      "usage",
      "the embedded engine is a process of its own: start it (apex engine --listen PATH), and name unix://PATH",
    );
  }
  signal?.throwIfAborted();
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
  await connected(containers, signal);
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

/** An engine that is not there yet is waited for. */
async function connected(containers: ContainerManager, signal: AbortSignal | undefined): Promise<void> {
  const settled = Promise.withResolvers<void>();
  const abort = (): void => settled.reject(signal?.reason);
  containers.once("engine:connected", () => settled.resolve());
  signal?.addEventListener("abort", abort, { once: true });
  try {
    containers.follow();
    await settled.promise;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
