/**
 * The composition root of the daemon: creates every part, connects the parts, and disposes them in reverse order.
 *
 *     engine ─► ContainerManager ─► ContainerHealthMonitor ─► WorkspaceManager ─► ApexOrchestrator ─► EventLog ─► sockets
 *                      └─► SessionPool                                        └─► Storage
 */
import { join } from "@std/path/posix";
import { type DaemonStatus, daemonStatus } from "../client/daemon_status.ts";
import { ContainerManager } from "../containers/container_manager.ts";
import { ContainerHealthMonitor } from "../containers/health/container_health_monitor.ts";
import { ContainerCheckpoints } from "../containers/reconcile/container_checkpoints.ts";
import { launchEmbeddedEngine } from "../embedded_engine/launch_embedded_engine.ts";
import { discoverEngine, type EngineAddress } from "../engine/discovery/engine_address.ts";
import { EngineClient } from "../engine/engine_client.ts";
import { EventLog } from "../eventlog/event_log.ts";
import { ApexOrchestrator } from "../orchestrator/mod.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { systemClock } from "../platform/clock.ts";
import type { Config } from "../platform/config.ts";
import { type Paths, prepareDirectories } from "../platform/directories.ts";
import type { Logger } from "../platform/logger.ts";
import { openProcessLog } from "../platform/process_logger.ts";
import { SocketFile } from "../platform/unix_socket.ts";
import { parseRestoreMode } from "../protocol/session_operations.ts";
import { ContainerTerminals } from "../sessions/container_terminals.ts";
import { SessionPool } from "../sessions/session_pool.ts";
import { loadInstanceId } from "../storage/instance_file.ts";
import { openStorage } from "../storage/storage.ts";
import { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import { ControlServer } from "./control_socket/control_server.ts";
import { EngineDeadline, EngineStatus } from "./engine_status.ts";
import { EventsServer } from "./events_socket/events_server.ts";
import { publish, publishSessions } from "./events_socket/publish.ts";
import { InstanceLock } from "./instance_lock.ts";
import { controlHandler } from "./operations/control_handler.ts";
import { EventRequests } from "./operations/event_requests.ts";
import { TaskOutputKeeper } from "./operations/kept_output.ts";
import { SessionRequests } from "./operations/session_requests.ts";
import { TaskAdoption } from "./task_adoption.ts";

export interface DaemonOptions {
  readonly paths: Paths;
  readonly config: Config;
  /** The command that starts this program, without a verb: `["/usr/bin/apex"]`. */
  readonly selfCommand: readonly string[];
  /** The options that the daemon was started with, for `apex status` and `apex restart`. */
  readonly flags: readonly string[];
  /** The log file of a daemon that a client started; such a daemon ends if it does not reach its engine. Absent: in the foreground. */
  readonly backgroundLog?: string | undefined;
  /** Aborted to end the daemon cleanly. */
  readonly abort: AbortSignal;
}

/**
 * Runs the daemon until `abort` is aborted or a client stops it. It then unlinks its sockets and finishes its subscribers.
 *
 * @throws {ApexError} if it cannot start: `busy` (another daemon runs), `usage`, `engine`, `failed`
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { paths, config, flags, backgroundLog } = options;
  await using parts = new AsyncDisposableStack();
  // Not `AbortSignal.any`: Deno 2.4 may collect such a signal although it has listeners, and SIGTERM is lost.
  const stopping = new AbortController();
  const { signal } = stopping;
  const stop = () => stopping.abort(options.abort.reason);
  if (options.abort.aborted) stop();
  options.abort.addEventListener("abort", stop, { once: true });
  parts.defer(() => options.abort.removeEventListener("abort", stop));
  await prepareDirectories(paths);
  parts.use(
    await InstanceLock.acquire({
      directories: [paths.runtimeDir, paths.stateDir],
      controlSocket: paths.controlSocket,
      askStatus,
    }),
  );
  const instance = await loadInstanceId(join(paths.stateDir, "instance"));
  const logger = parts.use(openProcessLog(config.logLevel));
  const engine = await findEngine(options, logger);

  const clock = systemClock;
  const shared = { clock, logger };
  const client = parts.use(new EngineClient({ ...engine, logger }));
  const storage = parts.use(openStorage({ path: join(paths.stateDir, "apex.db"), ...shared }));
  const { tasks, outputs } = storage;
  const checkpoints = new ContainerCheckpoints({
    containers: storage.containers,
    events: storage.engineEvents,
  });
  const containers = parts.use(new ContainerManager({ client, instance, checkpoints, ...shared }));
  const health = parts.use(
    new ContainerHealthMonitor({ manager: containers, watch: config.healthWatch, ...shared }),
  );
  const limits = config.keepOutput;
  const outputKeeper = new TaskOutputKeeper({ containers, tasks, outputs, limits, logger });
  const workspaces = parts.use(
    new WorkspaceManager({ manager: containers, health, beforeRemoval: outputKeeper.keep, ...shared }),
  );
  const { maxConcurrentTasks, stopTimeoutSeconds } = config;
  const taskLimits = { stopTimeoutSeconds, ...(maxConcurrentTasks !== undefined && { maxConcurrentTasks }) };
  const orchestrator = parts.use(
    new ApexOrchestrator({ workspaces, store: tasks, ...taskLimits, ...shared }),
  );
  const engineStatus = parts.use(new EngineStatus({ containers, engine }));
  const journal = storage.openJournal({ ...config.journal });
  const log = parts.use(new EventLog({ journal, ...shared }));
  parts.use(publish({ log, containers, orchestrator, engine, logger }));
  // After `publish`, so that the event of a session follows the event of its container.
  const sessions = parts.use(
    new SessionPool({
      containers,
      terminals: new ContainerTerminals({ client, clock }),
      store: storage.sessions,
      ...shared,
      config: { ...config.session, restore: parseRestoreMode(config.session.restore) },
    }),
  );
  parts.use(publishSessions({ log, sessions }));
  // After `publish`, so that `engine.connected` precedes the events of adopted tasks.
  const adoption = parts.use(new TaskAdoption({ containers, orchestrator, workspaces, logger }));

  // Publishes what the manager has stored; the next daemon publishes the rest.
  parts.defer(() => containers.stopFollowing());

  // Bound first, so that a client that finds the control socket finds both.
  const eventsSocket = await SocketFile.listen(paths.eventsSocket);
  const { listener } = eventsSocket;
  const subscribers = parts.use(
    new EventsServer({ listener, log, maxSubscribers: config.maxSubscribers, ...shared }),
  );
  parts.defer(() => eventsSocket.unlink());
  const controlSocket = await SocketFile.listen(paths.controlSocket);
  const events = new EventRequests({ log, journal, ...shared });
  parts.use(
    new ControlServer({
      listener: controlSocket.listener,
      handle: controlHandler({
        paths,
        flags,
        backgroundLog,
        stop: () => stopping.abort(),
        containers,
        workspaces,
        orchestrator,
        adoption,
        storage,
        keepsOutput: config.keepOutput.maxBytes > 0,
        engine: engineStatus,
        log,
        journal,
        events,
        sessions: new SessionRequests({ sessions, ...shared }),
        defaultImage: config.image,
        engineChoice: engine.embedded ? "embedded" : `unix://${engine.socketPath}`,
        isHealthWatched: (id) => config.healthWatch.enabled === true || health.status(id) !== undefined,
        ...shared,
      }),
      barrier: () => subscribers.barrier(),
      maxConnections: config.maxControlConnections,
      maxStreams: config.maxStreams,
      ...shared,
    }),
  );
  // Disposed before the server, so that its clients still receive their last lines.
  parts.use(events);
  parts.defer(() => sessions.detachAll());
  parts.defer(() => controlSocket.unlink());

  containers.follow();
  logger.info(`listening on ${paths.controlSocket}, following ${engine.socketPath} (${engine.source})`);
  const deadline = backgroundLog === undefined
    ? undefined
    : parts.use(new EngineDeadline({ engine: engineStatus, clock }));
  await settlesWithin(deadline?.missed ?? new Promise<never>(() => {}), { abort: signal });
  logger.info("ending");
}

async function findEngine(
  { paths, config, selfCommand }: DaemonOptions,
  logger: Logger,
): Promise<EngineAddress> {
  const engine = await discoverEngine({
    engine: config.engine,
    engineSource: config.engineSource,
    env: (name) => Deno.env.get(name),
    embeddedSocketPath: paths.engineSocket,
  });
  if (engine.embedded) {
    await launchEmbeddedEngine({ socketPath: engine.socketPath, dir: paths.engineDir, selfCommand });
    logger.info("the embedded engine runs containers as local processes and isolates nothing");
  }
  return engine;
}

/** The status of the daemon on a control socket; undefined if no daemon answers. */
async function askStatus(controlSocket: string): Promise<DaemonStatus | undefined> {
  try {
    return await daemonStatus(controlSocket, { timeoutMs: 1_000 });
  } catch (error) {
    if (error instanceof ApexError) return undefined;
    throw error;
  }
}
