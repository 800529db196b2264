/**
 * A session on its way: its container is made, its terminal attached (before the start, so that nothing is lost), and
 * started. It exists once the engine's `start` is told; until then it is nothing, and if it fails, nothing is left.
 */
import { mayStillAppear } from "../containers/operations/abandoned_containers.ts";
import { removeContainer } from "../containers/operations/container_removal.ts";
import type { AttachConnection } from "../engine/attach_connection.ts";
import { ApexError } from "../platform/apex_error.ts";
import { settlesWithin } from "../platform/async/wait.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import { randomHex } from "../platform/random_hex.ts";
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
/** A name may be taken by somebody else in the moment between looking and creating. */
const MAX_NAMES = 5;
const SUFFIX_BYTES = 2;

export class StartingSession {
  readonly request: AttachRequest;
  readonly client: SessionClient;
  readonly #options: StartingSessionOptions;
  readonly #session = Promise.withResolvers<Session>();
  readonly #settled = Promise.withResolvers<void>();
  #containerName = "";
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

  async #create(): Promise<string> {
    const { containers, request, defaults, signal } = this.#options;
    for (let tries = 1;; tries++) {
      this.#containerName = this.#freeName();
      try {
        const spec = sessionContainer(request, { defaults, containerName: this.#containerName });
        return (await containers.create(spec, { signal })).id;
      } catch (error) {
        if (isNameTaken(error) && tries < MAX_NAMES) continue;
        if (mayStillAppear(error)) this.#options.onAbandoned(this.#containerName);
        throw error;
      }
    }
  }

  #freeName(): string {
    const plain = `apex-session-${this.request.name}`;
    for (let name = plain;; name = `${plain}-${randomHex(SUFFIX_BYTES)}`) {
      const isTried = name === this.#containerName;
      if (!isTried && this.#options.containers.find(name)?.name !== name) return name;
    }
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

/** Podman's status for that is a 500. */
function isNameTaken(error: unknown): boolean {
  return error instanceof ApexError && /\bname\b.*\balready in use\b/i.test(error.message);
}

function notTold(name: string): ApexError {
  const message =
    `cannot create session "${name}": the engine started its container, but does not tell of it ` +
    `(its events do not come: see apex status)`;
  return new ApexError("engine", message);
}
