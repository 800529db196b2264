/**
 * The sessions of this daemon: named terminals in containers, each with one client at most. A session exists from its
 * container's `start` to its container's end, as the engine tells them; so its events follow those of its container, and
 * what `list` says is what they said. No change of it waits for a client.
 *
 * What takes time is beside that: making a container (`starting_session.ts`), the terminal's stream (`session_terminal.ts`),
 * ending a container and removing what is left of it (`session_reaper.ts`). Sessions outlive the daemon; the next one
 * takes them over (`session_takeover.ts`) when it has reached the engine.
 */
import type { ContainerEvents } from "../containers/changes/container_events.ts";
import { ForwardingSet } from "../containers/forwarding.ts";
import { AbandonedContainers } from "../containers/operations/abandoned_containers.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { type ListenerOf, TypedEmitter } from "../platform/typed_emitter.ts";
import type { RestoreMode } from "../protocol/restore_mode.ts";
import type { SessionDetach } from "../protocol/session_messages.ts";
import type { SessionStore } from "../storage/session_store.ts";
import { type AttachRequest, checkSessionName, type SessionDefaults } from "./attach_request.ts";
import type { ContainerTerminals, SessionContainers } from "./container_terminals.ts";
import type { Session, SessionEvents, SessionRecord } from "./session.ts";
import { SessionTakeover } from "./session_adoption.ts";
import type { SessionClient } from "./session_client.ts";
import { busy, endedTooSoon, noSuchSession, notAttached, notReady } from "./session_errors.ts";
import { SessionReaper } from "./session_reaper.ts";
import { SessionRegistry } from "./session_registry.ts";
import type { TerminalAccess } from "./session_terminal.ts";
import { StartingSession } from "./starting_session.ts";

export interface SessionPoolConfig extends SessionDefaults {
  /** Lines that are kept of what has scrolled off a session's screen. */
  readonly scrollbackLines: number;
  /** From the first signal to SIGKILL; engines count it in whole seconds. */
  readonly killGraceMs: number;
  /** What a client sees of an existing session when it does not say. */
  readonly restore: RestoreMode;
}

/** What a {@linkcode SessionPool} is built from; all of it stays its owner's to dispose. */
export interface SessionPoolOptions {
  /** Calls its listeners in the order of adding: make the pool after what publishes `container:*`, before it starts. */
  readonly containers: SessionContainers;
  readonly terminals: TerminalAccess & Pick<ContainerTerminals, "engineId" | "attach">;
  readonly store: SessionStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: SessionPoolConfig;
}

export interface AttachedSession {
  readonly name: string;
  /** It did not exist before. */
  readonly created: boolean;
  readonly containerId: string;
}

/** A client that comes right after the daemon's start gets its session, not an error. */
const READY_WITHIN_MS = 2_000;
/** When the daemon ends, its clients may take their last frame for so long. */
const FAREWELL_MS = 1_000;

export class SessionPool implements AsyncDisposable {
  readonly #options: SessionPoolOptions;
  readonly #emitter: TypedEmitter<SessionEvents>;
  readonly #listeners = new ForwardingSet();
  readonly #registry: SessionRegistry;
  readonly #reaper: SessionReaper;
  readonly #takeover: SessionTakeover;
  /** By session name; each until it is a session, or has failed and left nothing. */
  readonly #starting = new Map<string, StartingSession>();
  /** Names of containers that may still be created, although no client waits for them any more. */
  readonly #abandoned: AbandonedContainers<string>;
  readonly #stopping = new AbortController();
  /** What goes on beside the changes; disposal waits for it. */
  readonly #background = new Set<Promise<void>>();
  readonly #onConnected = (): void => this.#inBackground(this.#takeover.connected());
  readonly #onCaughtUp = (): void => this.#inBackground(this.#takeover.caughtUp());
  #disposing: Promise<void> | undefined;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    const { containers, logger, clock, config } = options;
    this.#emitter = new TypedEmitter((error, name) =>
      logger.error(`a listener of ${name} failed: ${messageOf(error)}`)
    );
    this.#registry = new SessionRegistry({
      ...options,
      scrollbackLines: config.scrollbackLines,
      tell: (event, session) => this.#emitter.emit(event, { session, timestamp: new Date(clock.now()) }),
      onExpired: (session) => this.#inBackground(this.#reaper.expire(session)),
    });
    this.#reaper = new SessionReaper({
      ...options,
      killGraceMs: config.killGraceMs,
      signal: this.#stopping.signal,
      onFoundEnded: (session, exitCode) => this.#end(session, { isRemoved: true, exitCode }),
    });
    this.#takeover = new SessionTakeover({
      ...options,
      registry: this.#registry,
      isFinishing: (containerId) => this.#reaper.isFinishing(containerId),
      signal: this.#stopping.signal,
      onVanished: (session) => this.#end(session, { isRemoved: true, exitCode: undefined }),
      onRemains: (containerId) => this.#inBackground(this.#reaper.remove(containerId)),
    });
    this.#abandoned = new AbandonedContainers(clock);
    this.#listeners.add(containers, "container:created", (event) => this.#onCreated(event));
    this.#listeners.add(containers, "container:started", (event) => this.#onStarted(event));
    this.#listeners.add<"container:stopped">(
      containers,
      "container:stopped",
      (event) => this.#onEnded(event),
    );
    this.#listeners.add<"container:died">(containers, "container:died", (event) => this.#onEnded(event));
    this.#listeners.add(containers, "container:removed", (event) => this.#onRemoved(event));
    containers.on("engine:connected", this.#onConnected);
    containers.on("engine:caught-up", this.#onCaughtUp);
  }

  /**
   * Attaches a client to a session, creating that if need be; `client.serve` then carries its frames.
   *
   * @throws {ApexError} `usage`; `not_found` when it must exist and does not; `busy` when somebody else has it, or is creating it, and `force` is not set; `timeout`
   *   when it is being killed and does not end; and whatever the engine says
   */
  async attach(request: AttachRequest, client: SessionClient): Promise<AttachedSession> {
    const { name, force = false, background = false, restore = this.#options.config.restore } = request;
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
        if (!force) throw busy(name, starting.client.pid);
        await starting.settled;
      } else if (session.kill !== undefined || !await this.#reaper.isAlive(session)) {
        await this.#reaper.untilEnded(session);
      } else if (this.#registry.get(name) === session && session.kill === undefined) {
        if (session.client !== undefined && !force) throw busy(name, session.client.pid);
        session.attach(client, { restore, background });
        return { name, created: false, containerId: session.containerId };
      }
    }
  }

  /** @throws {ApexError} `not_found`; `conflict` when nobody is attached */
  detach(name: string): void {
    const session = this.#registry.get(name);
    if (session === undefined) throw noSuchSession("detach", name);
    if (!session.release({ reason: "requested" })) throw notAttached(name);
  }

  /**
   * Ends a session: SIGHUP, then SIGTERM, then SIGKILL after the grace. Resolves when it and its container are gone.
   *
   * @throws {ApexError} `not_found`; `timeout` when it does not end; and whatever the engine says
   */
  async kill(name: string): Promise<void> {
    const session = this.#registry.get(name);
    if (session === undefined) throw noSuchSession("kill", name);
    await this.#reaper.kill(session, "killed");
  }

  /** All that exist, in the order of their creation. */
  list(): SessionRecord[] {
    return this.#registry.list().map((session) => session.toRecord());
  }

  /** Resolves when the engine's sessions are known. @throws {ApexError} `engine` when that takes too long */
  async ready(): Promise<void> {
    if (this.#takeover.engineId !== undefined) return;
    const { clock } = this.#options;
    if (!await settlesWithin(this.#takeover.first, { timeoutMs: READY_WITHIN_MS, clock })) throw notReady();
  }

  on<Name extends keyof SessionEvents>(name: Name, listener: ListenerOf<SessionEvents, Name>): this {
    this.#emitter.on(name, listener);
    return this;
  }

  off<Name extends keyof SessionEvents>(name: Name, listener: ListenerOf<SessionEvents, Name>): this {
    this.#emitter.off(name, listener);
    return this;
  }

  listenerCount(name?: keyof SessionEvents): number {
    return this.#emitter.listenerCount(name);
  }

  /**
   * Lets go of every client, and waits a moment for them to hear why. The sessions go on. For the daemon's end, while the
   * clients' connections still stand; disposal does it too.
   */
  async releaseAll(reason: SessionDetach["reason"] = "shutdown"): Promise<void> {
    const clients: SessionClient[] = [];
    for (const session of this.#registry.list()) {
      if (session.client !== undefined) clients.push(session.client);
      session.release({ reason });
    }
    const farewells = Promise.allSettled(clients.map((client) => client.over));
    await settlesWithin(farewells, { timeoutMs: FAREWELL_MS, clock: this.#options.clock });
  }

  /** Releases every client and closes every stream; the sessions go on without us. May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#disposing ??= this.#dispose();
  }

  async #dispose(): Promise<void> {
    const ending = new ApexError("failed", "the daemon is ending");
    this.#stopping.abort(ending);
    for (const starting of this.#starting.values()) starting.fail(ending);
    this.#listeners[Symbol.dispose]();
    this.#options.containers.off("engine:connected", this.#onConnected);
    this.#options.containers.off("engine:caught-up", this.#onCaughtUp);
    this.#abandoned[Symbol.dispose]();
    const sessions = this.#registry.list();
    for (const session of sessions) session.stopTimers();
    await this.releaseAll();
    await Promise.all(sessions.map(({ terminal }) => terminal[Symbol.asyncDispose]()));
    await Promise.all([...this.#starting.values()].map(({ settled }) => settled));
    await Promise.all(this.#background);
  }

  async #create(request: AttachRequest, client: SessionClient): Promise<AttachedSession> {
    const { config: defaults, ...options } = this.#options;
    const starting = new StartingSession({
      ...options,
      defaults,
      request,
      client,
      engineId: this.#takeover.engineId ?? "",
      onAbandoned: (containerName) => this.#abandoned.add(containerName),
      signal: this.#stopping.signal,
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

  #onCreated(event: ContainerEvents["container:created"]): void {
    // Another instance may have taken the name.
    if (!event.success || !this.#options.containers.owns(event.containerId)) return;
    if (!this.#abandoned.take(event.containerName)) return;
    this.#inBackground(this.#reaper.remove(event.containerId));
  }

  /** A session begins. */
  #onStarted(event: ContainerEvents["container:started"]): void {
    if (!event.success) return;
    this.#startingIn(event.containerId)?.become(({ facts, connection }, { request, client }) => {
      this.#starting.delete(request.name);
      const session = this.#registry.create(facts, { connection, size: client.size });
      const { background = false, restore = this.#options.config.restore } = request;
      session.attach(client, { restore, background });
      session.terminal.run();
      return session;
    });
  }

  #onEnded(event: ContainerEvents["container:died"] | ContainerEvents["container:stopped"]): void {
    if (!event.success) return;
    const { containerId, exitCode } = event;
    this.#startingIn(containerId)?.fail(endedTooSoon(exitCode));
    const session = this.#registry.inContainer(containerId);
    if (session !== undefined) this.#end(session, { isRemoved: false, exitCode });
  }

  /** A session that is still there then: its container's end was not told. */
  #onRemoved(event: ContainerEvents["container:removed"]): void {
    if (!event.success) return;
    const { containerId, exitCode } = event;
    this.#startingIn(containerId)?.fail(endedTooSoon(exitCode));
    const session = this.#registry.inContainer(containerId);
    if (session !== undefined) this.#end(session, { isRemoved: true, exitCode });
  }

  #end(
    session: Session,
    { isRemoved, exitCode }: { isRemoved: boolean; exitCode: number | undefined },
  ): void {
    const reason = session.kill?.reason ?? (isRemoved ? "removed" : "exit");
    this.#registry.end(session, { reason, ...(exitCode !== undefined && { exitCode }) });
    this.#inBackground(this.#reaper.finish(session));
  }

  #startingIn(containerId: string): StartingSession | undefined {
    return [...this.#starting.values()].find((starting) => starting.containerId === containerId);
  }

  #inBackground(work: Promise<void>): void {
    this.#background.add(work);
    void work.finally(() => this.#background.delete(work));
  }
}
