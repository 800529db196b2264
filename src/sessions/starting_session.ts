/**
 * A session that is being created. Its container is created, its terminal is attached (before the start, so that no output
 * is lost), and the container is started. The session exists as soon as the engine's `start` event arrives. If anything
 * fails before that, the container is removed, and no event of the session is published.
 */
import { createUnderFreeName } from "../containers/operations/container_name.ts";
import { mayStillAppear, removeContainer } from "../containers/operations/container_removal.ts";
import type { AttachConnection } from "../engine/attach_connection.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import { type AttachRequest, sessionContainer, type SessionDefaults } from "./attach_request.ts";
import type { Session, SessionFacts } from "./session.ts";
import type { SessionClient } from "./session_client.ts";
import type { SessionServices } from "./session_services.ts";

export interface StartingSessionOptions extends SessionServices {
  readonly request: AttachRequest;
  readonly client: SessionClient;
  readonly engineId: string;
  readonly defaults: SessionDefaults;
  /** Called when the engine did not answer, so that a container with that name may still be created. */
  readonly onAbandoned: (containerName: string) => void;
  readonly abort: AbortSignal;
}

/** What a session is made of when its container was started. */
export interface Started {
  readonly facts: SessionFacts;
  readonly connection: AttachConnection;
}

/** From the engine's reply to its event: a few hundred milliseconds on a busy machine. */
const EVENT_WITHIN_MS = 10_000;
export class StartingSession {
  readonly request: AttachRequest;
  readonly client: SessionClient;
  readonly #options: StartingSessionOptions;
  readonly #session = Promise.withResolvers<Session>();
  readonly #settled = Promise.withResolvers<void>();
  #started: Started | undefined;

  constructor(options: StartingSessionOptions) {
    this.#options = options;
    this.request = options.request;
    this.client = options.client;
    // It may reject before `run` awaits it.
    this.#session.promise.catch(() => {});
  }

  /** The id of the container, once its terminal is attached. */
  get containerId(): string | undefined {
    return this.#started?.facts.containerId;
  }

  /** Resolves when the session exists, or its creation has failed and was undone. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /**
   * Creates the session. Resolves with the session that {@linkcode become} was given.
   * @throws {ApexError} when that fails. The container was removed then, or its removal was logged as failed
   */
  async run(): Promise<Session> {
    try {
      return await this.#run();
    } finally {
      this.#settled.resolve();
    }
  }

  /** To be called in the block of the engine's `start` event. `makeSession` makes the session. */
  become(makeSession: (started: Started, starting: this) => Session): void {
    if (this.#started === undefined) return;
    const started = this.#started;
    this.#started = undefined;
    this.#session.resolve(makeSession(started, this));
  }

  /** To be called when the container has ended before its `start` event, or when the daemon ends. */
  fail(error: ApexError): void {
    this.#session.reject(error);
  }

  async #run(): Promise<Session> {
    const { containers, terminals, store, abort, request, defaults, clock } = this.#options;
    const containerId = await this.#create();
    const nowMs = clock.now();
    const facts: SessionFacts = {
      containerId,
      name: request.name,
      engineId: this.#options.engineId,
      image: request.image ?? defaults.image,
      createdAtMs: nowMs,
      ...(request.ttlMs !== undefined && { expiresAtMs: nowMs + request.ttlMs }),
    };
    store.save({ ...facts, ...this.client.size, state: "starting", isAttached: false });
    try {
      const connection = await terminals.attach(containerId, abort);
      this.#started = { facts, connection };
      // The event may arrive before the reply.
      await Promise.race([containers.start(containerId, { abort }), this.#session.promise]);
      const hasArrived = await settlesWithin(this.#session.promise, { timeoutMs: EVENT_WITHIN_MS, clock });
      if (!hasArrived) throw eventMissing(request.name);
      return await this.#session.promise;
    } catch (error) {
      await this.#discard(facts);
      throw error;
    }
  }

  #create(): Promise<string> {
    const { containers, request, defaults, abort } = this.#options;
    const create = async (containerName: string): Promise<string> => {
      try {
        const spec = sessionContainer(request, { defaults, containerName });
        return (await containers.create(spec, { abort })).id;
      } catch (error) {
        if (mayStillAppear(error)) this.#options.onAbandoned(containerName);
        throw error;
      }
    };
    const isTaken = (name: string): boolean => containers.find(name)?.name === name;
    return createUnderFreeName(`apex-session-${request.name}`, { isTaken, create });
  }

  async #discard(facts: SessionFacts): Promise<void> {
    const { store, client } = this.#options;
    this.#started?.connection[Symbol.dispose]();
    this.#started = undefined;
    if (await removeContainer(facts.containerId, this.#options) === "removed") {
      store.remove(facts.containerId);
    } else store.save({ ...facts, ...client.size, state: "ended", isAttached: false });
  }
}

/** The failure of a session whose container has ended before its `start` event. */
export function endedTooSoon(exitCode: number | undefined): ApexError {
  const status = exitCode === undefined ? "" : ` with status ${exitCode}`;
  return new ApexError("engine", `the session's container ended${status} before apex saw it start`);
}

function eventMissing(name: string): ApexError {
  const message =
    `cannot create session "${name}": the engine started its container, but sent no event of that ` +
    `(see: apex status)`;
  return new ApexError("engine", message);
}
