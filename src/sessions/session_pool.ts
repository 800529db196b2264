/**
 * The sessions of this daemon: named terminals in containers, with at most one client each. The pool is the entry point of
 * this folder. It follows the events of containers, so session events follow those of their containers, and `list` agrees
 * with them. No change waits for a client or for the engine.
 *
 * - `SessionRegistry` owns the sessions, a `Session` its terminal, its time limit and the link to its client.
 *   `SessionClient` owns the queue of frames to one client, whose connection belongs to the control server.
 * - Attach: an existing session takes the client. Otherwise `StartingSession` creates a container, and the session exists
 *   when the container's `start` event arrives. With `force`, the session detaches its client first.
 * - Detach: the client leaves, is dropped, or is asked to leave. The session continues.
 * - Kill, exit, removal: the end of the container ends the session. Its container belongs to `SessionReaper` from then on.
 * - Restart of the daemon: sessions outlive it. `SessionAdoption` finds them when the next daemon connects to the engine.
 */
import type { ManagerEvents } from "../containers/changes/container_events.ts";
import { AbandonedContainers } from "../containers/operations/container_removal.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import type { RestoreMode } from "../protocol/session_operations.ts";
import { type AttachRequest, checkSessionName, type SessionDefaults } from "./attach_request.ts";
import type { Session, SessionEvents, SessionRecord } from "./session.ts";
import { SessionAdoption } from "./session_adoption.ts";
import type { SessionClient } from "./session_client.ts";
import { SessionReaper } from "./session_reaper.ts";
import { SessionRegistry } from "./session_registry.ts";
import type { SessionServices } from "./session_services.ts";
import { endedTooSoon, StartingSession } from "./starting_session.ts";

export interface SessionPoolConfig extends SessionDefaults {
  /** How many lines are kept of those that have scrolled off a session's screen. */
  readonly scrollbackLines: number;
  /** From SIGHUP to SIGKILL. Engines count it in whole seconds. */
  readonly killGraceMs: number;
  /** What a client sees of an existing session by default. */
  readonly restore: RestoreMode;
}

/**
 * What a {@linkcode SessionPool} is built from. `containers` must call its listeners in the order in which they were added,
 * and the pool must be created after the publisher of container events, and before `containers` starts to emit.
 */
export interface SessionPoolOptions extends SessionServices {
  readonly config: SessionPoolConfig;
}

export interface AttachedSession {
  readonly name: string;
  /** Whether the session was created by this attach. */
  readonly created: boolean;
  readonly containerId: string;
}

type EndEvent = ManagerEvents["container:stopped" | "container:died" | "container:removed"];

/** A client that attaches right after the daemon's start waits for the first adoption instead of failing. */
const READY_WITHIN_MS = 2_000;
/** How long the end of the daemon waits for clients to read their last frame. */
const FAREWELL_MS = 1_000;

export class SessionPool implements AsyncDisposable {
  readonly #options: SessionPoolOptions;
  readonly #emitter: TypedEmitter<SessionEvents>;
  readonly #listeners = new DisposableStack();
  readonly #registry: SessionRegistry;
  readonly #reaper: SessionReaper;
  readonly #adoption: SessionAdoption;
  /** Sessions that are being created, by name. */
  readonly #starting = new Map<string, StartingSession>();
  /** Names of containers whose creation was given up, and that may still be created. */
  readonly #abandoned: AbandonedContainers<string>;
  readonly #stopping = new AbortController();
  /** Work in the background, for which disposal waits. */
  readonly #background = new Set<Promise<void>>();
  #disposing: Promise<void> | undefined;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    const { containers, logger, clock, config: { scrollbackLines, killGraceMs } } = options;
    const abort = this.#stopping.signal;
    this.#emitter = TypedEmitter.logging(logger);
    const registry = new SessionRegistry({
      ...options,
      scrollbackLines,
      emit: (event, session) => this.#emitter.emit(event, { session, timestamp: new Date(clock.now()) }),
      onExpired: (session) => this.#inBackground(reaper.expire(session)),
    });
    const inBackground = (work: Promise<void>): void => this.#inBackground(work);
    const reaper = new SessionReaper({ ...options, registry, killGraceMs, abort, inBackground });
    this.#registry = registry;
    this.#reaper = reaper;
    this.#adoption = new SessionAdoption({ ...options, registry, reaper, abort });
    this.#abandoned = new AbandonedContainers(clock);
    const listeners = this.#listeners;
    listeners.defer(containers.on("container:created", (event) => this.#onCreated(event)));
    listeners.defer(containers.on("container:started", (event) => this.#onStarted(event)));
    for (const name of ["container:stopped", "container:died", "container:removed"] as const) {
      // A removal matters only for a session whose container's end was not reported.
      const isRemoved = name === "container:removed";
      listeners.defer(containers.on(name, (event) => this.#onEnded(event, { isRemoved })));
    }
    listeners.defer(containers.on("engine:connected", () => this.#inBackground(this.#adoption.connected())));
    listeners.defer(containers.on("engine:caught-up", () => this.#inBackground(this.#adoption.caughtUp())));
  }

  /**
   * Attaches a client to a session, which is created if it does not exist. `client.serve` then carries the frames.
   * @throws {ApexError} `usage` for an invalid name; `not_found` when the session must exist and does not; `busy` when
   *   another client is attached or creates it, and `force` is not set; `timeout` when the session is being killed and does
   *   not end; any failure of the engine
   */
  async attach(request: AttachRequest, client: SessionClient): Promise<AttachedSession> {
    const { name, force = false } = request;
    checkSessionName(name);
    await this.ready();
    while (true) {
      this.#stopping.signal.throwIfAborted();
      const session = this.#registry.get(name);
      if (session === undefined) {
        const starting = this.#starting.get(name);
        if (starting === undefined) {
          if (request.mustExist) throw noSuchSession("attach to", name);
          return await this.#create(request, client);
        }
        if (!force) throw busy(name, starting.client);
        await starting.settled;
      } else if (session.kill !== undefined || !await this.#reaper.isAlive(session)) {
        await this.#reaper.untilEnded(session);
      } else if (this.#registry.get(name) === session && session.kill === undefined) {
        if (session.client !== undefined && !force) throw busy(name, session.client);
        this.#attachTo(session, request, client);
        return { name, created: false, containerId: session.containerId };
      }
    }
  }

  /**
   * Detaches the session's client.
   * @throws {ApexError} `not_found`; `conflict` when no client is attached
   */
  detach(name: string): void {
    const session = this.#registry.get(name);
    if (session === undefined) throw noSuchSession("detach", name);
    if (session.detach({ reason: "requested" })) return;
    throw new ApexError(
      "conflict",
      `cannot detach session "${name}": no client is attached (see: apex list)`,
    );
  }

  /**
   * Kills a session: SIGHUP, then SIGTERM, then SIGKILL after the grace. Resolves when its container was removed.
   * @throws {ApexError} `not_found`; `timeout` when it does not end; any failure of the engine
   */
  async kill(name: string): Promise<void> {
    const session = this.#registry.get(name);
    if (session === undefined) throw noSuchSession("kill", name);
    await this.#reaper.kill(session, "killed");
  }

  /** Returns all sessions, in the order of their creation. */
  list(): SessionRecord[] {
    return this.#registry.list().map((session) => session.toRecord());
  }

  /** Resolves when the engine's sessions are known. @throws {ApexError} `engine` when that takes too long */
  async ready(): Promise<void> {
    if (this.#adoption.engineId !== undefined) return;
    const { clock } = this.#options;
    if (await settlesWithin(this.#adoption.first, { timeoutMs: READY_WITHIN_MS, clock })) return;
    const message =
      "sessions are not available yet: the engine does not answer (try again; see: apex status)";
    throw new ApexError("engine", message);
  }

  /** Adds a listener. The returned function removes it. */
  on<Name extends keyof SessionEvents>(name: Name, listener: ListenerOf<SessionEvents, Name>): () => void {
    return this.#emitter.on(name, listener);
  }

  /**
   * Detaches all clients, and waits briefly until they have read their last frame. The sessions continue. The daemon calls
   * it at its end, before it closes connections; disposal calls it, too.
   */
  async detachAll(): Promise<void> {
    const clients = this.#registry.list().flatMap(({ client }) => client ?? []);
    for (const session of this.#registry.list()) session.detach({ reason: "shutdown" });
    const farewells = Promise.allSettled(clients.map((client) => client.over));
    await settlesWithin(farewells, { timeoutMs: FAREWELL_MS, clock: this.#options.clock });
  }

  /** Detaches all clients and closes all streams. The sessions continue without this daemon. May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposing ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    const ending = new ApexError("failed", "the daemon is ending");
    this.#stopping.abort(ending);
    for (const starting of this.#starting.values()) starting.fail(ending);
    this.#listeners[Symbol.dispose]();
    this.#abandoned[Symbol.dispose]();
    const sessions = this.#registry.list();
    for (const session of sessions) session.cancelExpiry();
    await this.detachAll();
    await Promise.all(sessions.map(({ terminal }) => terminal[Symbol.asyncDispose]()));
    await Promise.all([...this.#starting.values()].map(({ settled }) => settled));
    await Promise.all(this.#background);
  }

  async #create(request: AttachRequest, client: SessionClient): Promise<AttachedSession> {
    const { config: defaults, ...services } = this.#options;
    const starting = new StartingSession({
      ...services,
      defaults,
      request,
      client,
      engineId: this.#adoption.engineId ?? "",
      onAbandoned: (containerName) => this.#abandoned.add(containerName),
      abort: this.#stopping.signal,
    });
    const { name } = request;
    this.#starting.set(name, starting);
    try {
      const { containerId } = await starting.run();
      return { name, created: true, containerId };
    } finally {
      if (this.#starting.get(name) === starting) this.#starting.delete(name);
    }
  }

  #attachTo(session: Session, request: AttachRequest, client: SessionClient): void {
    const { background = false, restore = this.#options.config.restore } = request;
    session.attach(client, { restore, background });
  }

  /** Removes a container that was created after its session was given up. */
  #onCreated(event: ManagerEvents["container:created"]): void {
    // Another instance may have taken the name.
    if (!event.success || !this.#options.containers.owns(event.containerId)) return;
    if (!this.#abandoned.take(event.containerName)) return;
    this.#inBackground(this.#reaper.remove(event.containerId));
  }

  #onStarted(event: ManagerEvents["container:started"]): void {
    if (!event.success) return;
    this.#startingIn(event.containerId)?.become(({ facts, connection }, { request, client }) => {
      this.#starting.delete(request.name);
      const session = this.#registry.create(facts, { connection, size: client.size });
      this.#attachTo(session, request, client);
      session.terminal.run();
      return session;
    });
  }

  #onEnded(event: EndEvent, { isRemoved }: { readonly isRemoved: boolean }): void {
    if (!event.success) return;
    const { containerId, exitCode } = event;
    this.#startingIn(containerId)?.fail(endedTooSoon(exitCode));
    const session = this.#registry.inContainer(containerId);
    if (session !== undefined) this.#reaper.end(session, { isRemoved, exitCode });
  }

  #startingIn(containerId: string): StartingSession | undefined {
    return [...this.#starting.values()].find((starting) => starting.containerId === containerId);
  }

  #inBackground(work: Promise<void>): void {
    this.#background.add(work);
    void work.finally(() => this.#background.delete(work));
  }
}

function busy(name: string, { pid }: SessionClient): ApexError {
  const holder = pid === undefined ? "" : ` (pid ${pid})`;
  return new ApexError("busy", `cannot attach to session "${name}": already attached${holder}; use --force`);
}

/** @param what the operation, as in "cannot kill session" */
function noSuchSession(what: string, name: string): ApexError {
  return new ApexError("not_found", `cannot ${what} session "${name}": no such session (see: apex list)`);
}
