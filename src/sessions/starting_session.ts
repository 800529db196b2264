/**
 * A session on its way: its container is made, its terminal attached (before the start, so that nothing is lost), and
 * started. It exists once the engine's `start` is told; until then it is nothing, and if it fails, nothing is left.
 */
import { mayStillAppear } from "../containers/operations/abandoned_containers.ts";
import { createUnderFreeName } from "../containers/operations/container_name.ts";
import { removeContainer } from "../containers/operations/container_removal.ts";
import type { AttachConnection } from "../engine/attach_connection.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionStore } from "../storage/session_store.ts";
import { type AttachRequest, sessionContainer, type SessionDefaults } from "./attach_request.ts";
import type { ContainerTerminals, SessionContainers } from "./container_terminals.ts";
import type { Session, SessionFacts } from "./session.ts";
import type { SessionClient } from "./session_client.ts";

export interface StartingSessionOptions {
  readonly request: AttachRequest;
  readonly client: SessionClient;
  readonly containers: SessionContainers;
  readonly terminals: Pick<ContainerTerminals, "attach">;
  readonly store: SessionStore;
  readonly engineId: string;
  readonly defaults: SessionDefaults;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A container of that name may still come, although nobody waits for it any more: the engine gave no reply. */
  readonly onAbandoned: (containerName: string) => void;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** What a started container has to become a session. */
export interface Started {
  readonly facts: SessionFacts;
  readonly connection: AttachConnection;
}

/** From the engine's reply to its event; some hundred milliseconds on a busy machine. */
const START_TOLD_WITHIN_MS = 10_000;

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
    // It may fail while nobody waits for it yet.
    this.#session.promise.catch(() => {});
  }

  /** Of the container that is being started. */
  get containerId(): string | undefined {
    return this.#started?.facts.containerId;
  }

  /** Resolves when it is a session, or nothing is left of it. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /**
   * Resolves with what {@linkcode become} is told.
   * @throws {ApexError} when it cannot be created or started; then nothing of it is left
   */
  async run(): Promise<Session> {
    try {
      return await this.#run();
    } finally {
      this.#settled.resolve();
    }
  }

  /** Its container was started, just now: it is that session. */
  become(makeSession: (started: Started, starting: this) => Session): void {
    if (this.#started === undefined) return;
    const started = this.#started;
    this.#started = undefined;
    this.#session.resolve(makeSession(started, this));
  }

  /** Its container ended or vanished before it was told to have started. */
  fail(error: ApexError): void {
    this.#session.reject(error);
  }

  async #run(): Promise<Session> {
    const { containers, terminals, store, signal, request, defaults, clock } = this.#options;
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
      const connection = await terminals.attach(containerId, signal);
      this.#started = { facts, connection };
      // The event may be here before the reply.
      await Promise.race([containers.start(containerId, { signal }), this.#session.promise]);
      const isTold = await settlesWithin(this.#session.promise, { timeoutMs: START_TOLD_WITHIN_MS, clock });
      if (!isTold) throw notTold(request.name);
      return await this.#session.promise;
    } catch (error) {
      await this.#discard(facts);
      throw error;
    }
  }

  #create(): Promise<string> {
    const { containers, request, defaults, signal } = this.#options;
    const create = async (containerName: string): Promise<string> => {
      try {
        const spec = sessionContainer(request, { defaults, containerName });
        return (await containers.create(spec, { signal })).id;
      } catch (error) {
        if (mayStillAppear(error)) this.#options.onAbandoned(containerName);
        throw error;
      }
    };
    const isTaken = (name: string): boolean => containers.find(name)?.name === name;
    return createUnderFreeName(`apex-session-${request.name}`, { isTaken, create });
  }

  async #discard(facts: SessionFacts): Promise<void> {
    const { store, client, signal: abort } = this.#options;
    this.#started?.connection[Symbol.dispose]();
    this.#started = undefined;
    const result = await removeContainer(facts.containerId, { ...this.#options, abort });
    if (result === "removed") store.remove(facts.containerId);
    else store.save({ ...facts, ...client.size, state: "ended", isAttached: false });
  }
}

function notTold(name: string): ApexError {
  const message =
    `cannot create session "${name}": the engine started its container, but does not tell of it ` +
    `(its events do not come: see apex status)`;
  return new ApexError("engine", message);
}
