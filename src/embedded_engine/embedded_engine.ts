/**
 * The embedded engine: a Docker Engine API on its own Unix socket, whose containers are local processes. With it apex can be
 * used, and tested, without Docker. It isolates nothing. This is its composition root. It owns, in the order of closing: the
 * idle timer, the listener and its socket file, the containers, the connections, the lock. Containers do not outlive the
 * engine: it kills them when it closes, and after a crash the next engine of the directory kills them.
 */
import { dirname, join } from "@std/path/posix";
import { type Clock, systemClock } from "../platform/clock.ts";
import { checkSocketPathLength, prepareDirectory } from "../platform/directories.ts";
import { type Logger, silentLogger } from "../platform/logger.ts";
import type { SocketFile } from "../platform/unix_socket.ts";
import { VERSION } from "../protocol/version.ts";
import { containerRoutes } from "./api/container_routes.ts";
import { execRoutes } from "./api/exec_routes.ts";
import { imageRoutes, isImport } from "./api/image_routes.ts";
import { statsRoutes } from "./api/stats_routes.ts";
import { streamRoutes } from "./api/stream_routes.ts";
import { systemRoutes } from "./api/system_routes.ts";
import { ContainerIndex } from "./containers/container_index.ts";
import { EmbeddedContainer } from "./containers/embedded_container.ts";
import { ExecStore } from "./containers/embedded_exec.ts";
import { EventHistory } from "./containers/event_history.ts";
import { listenForEngine, LOCK_FILE, lockEngine } from "./engine_lock.ts";
import { HttpServer } from "./http/http_server.ts";
import { API_VERSION, createRouter } from "./http/router.ts";
import { endLeftovers } from "./processes/process_file.ts";
import type { CreateSpec } from "./spec/create_request.ts";
import { ImageStore } from "./spec/image_store.ts";
import { randomId } from "./spec/names.ts";
import { EngineTime } from "./spec/nano_time.ts";

/** Long enough for a daemon that a person restarts to find the same engine again. */
const IDLE_EXIT_MS = 60_000;

export interface EmbeddedEngineOptions {
  /** The engine's own directory (0700): lock, identity, containers. */
  readonly dir: string;
  readonly socketPath: string;
  /** The user chose the socket: its directory may then be readable, though not writable, by other users. */
  readonly socketDirIsChosen?: boolean;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** The engine closes when it has had no container and no request for this long. */
  readonly idleExitMs?: number;
  /** Closes the engine. */
  readonly abort?: AbortSignal;
}

/** A running engine. */
export interface EmbeddedEngine extends AsyncDisposable {
  readonly socketPath: string;
  /** Resolves when the engine has closed. */
  readonly closed: Promise<void>;
}

/**
 * Starts the embedded engine in this process.
 * @throws {ApexError} `busy` when an engine already runs in that directory, or another process listens on the socket;
 * `usage` for an invalid socket path; `failed` for a directory that other users can write to
 */
export async function startEmbeddedEngine(options: EmbeddedEngineOptions): Promise<EmbeddedEngine> {
  const { dir, socketPath, socketDirIsChosen = false, logger = silentLogger } = options;
  checkSocketPathLength(socketPath, "choose a shorter one with --listen");
  await using opened = new AsyncDisposableStack();
  await prepareDirectory(dir);
  await prepareDirectory(dirname(socketPath), { isChosen: socketDirIsChosen });
  opened.use(await lockEngine(join(dir, LOCK_FILE), socketPath));
  const containersDir = join(dir, "containers");
  const leftovers = await endLeftovers(containersDir);
  if (leftovers > 0) {
    logger.warn(`embedded engine: killed ${leftovers} containers that a killed engine had left running`);
  }
  const engineId = await persistentId(join(dir, "id"));
  const images = await ImageStore.open(join(dir, "images.json"));
  const socket = await listenForEngine(socketPath);
  const engine = new RunningEngine(options, {
    socket,
    logger,
    engineId,
    images,
    containersDir,
    lock: opened.move(),
  });
  logger.warn("embedded engine: containers are plain processes of this user; nothing is isolated");
  logger.info(`embedded engine: listening on ${socketPath}`);
  return engine;
}

interface Parts {
  readonly socket: SocketFile;
  readonly logger: Logger;
  readonly engineId: string;
  readonly images: ImageStore;
  readonly containersDir: string;
  /** Released last. */
  readonly lock: AsyncDisposableStack;
}

class RunningEngine implements EmbeddedEngine {
  readonly socketPath: string;
  readonly closed: Promise<void>;
  readonly #containers = new ContainerIndex();
  readonly #server: HttpServer;
  readonly #idle: IdleTimer;
  readonly #socket: SocketFile;
  readonly #lock: AsyncDisposableStack;
  readonly #logger: Logger;
  readonly #closing = Promise.withResolvers<void>();

  constructor(
    options: EmbeddedEngineOptions,
    { socket, logger, engineId, images, containersDir, lock }: Parts,
  ) {
    const clock = options.clock ?? systemClock;
    const time = new EngineTime(clock);
    const history = new EventHistory(time);
    const containers = this.#containers;
    const execs = new ExecStore();
    this.socketPath = options.socketPath;
    this.#logger = logger;
    this.#socket = socket;
    this.#lock = lock;
    this.#idle = new IdleTimer({
      clock,
      idleMs: options.idleExitMs ?? IDLE_EXIT_MS,
      onIdle: () => this.#closing.resolve(),
    });

    const create = (name: string, spec: CreateSpec): EmbeddedContainer => {
      const id = randomId();
      const container = new EmbeddedContainer({
        id,
        name,
        spec,
        imageId: images.id,
        dir: join(containersDir, id),
        clock,
        time,
        logger,
        publish: (subject, action, attributes) => history.publish(messageOf(subject, { action, attributes })),
        onRemoved: (removed) => {
          containers.delete(removed);
          execs.deleteOf(removed.id);
          this.#idle.setContainers(containers.size);
        },
      });
      containers.add(container);
      this.#idle.setContainers(containers.size);
      return container;
    };
    this.#server = new HttpServer({
      listener: socket.listener,
      logger,
      handle: createRouter([
        ...systemRoutes({ engineId, images, dir: options.dir, containers, history, time, clock }),
        ...containerRoutes({ containers, images, create, now: () => clock.now() }),
        ...streamRoutes(containers),
        ...execRoutes({ containers, execs }),
        ...statsRoutes({ containers, clock, time }),
        ...imageRoutes({ images, containers }),
      ]),
      ignoresBody: isImport,
      headers: {
        "Api-Version": API_VERSION,
        "Ostype": Deno.build.os,
        "Server": `apex-embedded-engine/${VERSION}`,
      },
      onActivity: (requests) => this.#idle.setRequests(requests),
    });
    const close = () => this.#closing.resolve();
    options.abort?.addEventListener("abort", close, { once: true });
    if (options.abort?.aborted) close();
    this.closed = this.#closing.promise.then(() => this.#close())
      .finally(() => options.abort?.removeEventListener("abort", close));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.resolve();
    await this.closed;
  }

  async #close(): Promise<void> {
    this.#idle[Symbol.dispose]();
    // The socket file is removed before the connections end: a client that is disconnected and finds no socket knows that
    // the engine has shut down. It is removed after the listener was closed, because closing also removes the file (Deno
    // 2.9), which might be that of another engine by then.
    await this.#server.stopAccepting();
    await this.#socket.unlink();
    const ended = await Promise.allSettled(
      this.#containers.list().map((container) => container[Symbol.asyncDispose]()),
    );
    for (const result of ended) {
      if (result.status === "rejected") {
        this.#logger.error(`embedded engine: cannot end a container: ${result.reason}`);
      }
    }
    await this.#server[Symbol.asyncDispose]();
    await this.#lock[Symbol.asyncDispose]();
    this.#logger.info("embedded engine: closed");
  }
}

/** As in Docker, attributes and labels share one map: a label overwrites an attribute, except `image` and `name`. */
function messageOf(
  { id, name, spec }: EmbeddedContainer,
  { action, attributes }: { action: string; attributes: Record<string, string> },
) {
  const all = { ...attributes, ...spec.labels, image: spec.image, name };
  return {
    status: action,
    id,
    from: spec.image,
    Type: "container",
    Action: action,
    Actor: { ID: id, Attributes: all },
    scope: "local",
  } as const;
}

async function persistentId(path: string): Promise<string> {
  try {
    const id = await Deno.readTextFile(path);
    if (/^[0-9a-f]{64}$/.test(id)) return id;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // The first engine of a directory creates the file.
  }
  const id = randomId();
  await Deno.writeTextFile(path, id, { mode: 0o600 });
  return id;
}

/** Calls `onIdle` once there have been no containers and no requests for `idleMs`. Runs from its construction on. */
class IdleTimer implements Disposable {
  readonly #options: { readonly clock: Clock; readonly idleMs: number; readonly onIdle: () => void };
  #containers = 0;
  #requests = 0;
  #cancel: () => void = () => {};
  #disposed = false;

  constructor(options: { clock: Clock; idleMs: number; onIdle: () => void }) {
    this.#options = options;
    this.#update();
  }

  setContainers(count: number): void {
    this.#containers = count;
    this.#update();
  }

  /** Sets the number of requests in flight. A request that follows events is in flight until it ends. */
  setRequests(count: number): void {
    this.#requests = count;
    this.#update();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#cancel();
  }

  #update(): void {
    this.#cancel();
    if (this.#disposed || this.#containers > 0 || this.#requests > 0) return;
    this.#cancel = this.#options.clock.after(this.#options.idleMs, this.#options.onIdle);
  }
}
