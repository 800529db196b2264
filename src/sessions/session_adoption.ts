/** What a new daemon makes of the sessions of an earlier one: from the rows that it left, and from the engine's containers. */
import { SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/logger.ts";
import type { SessionStore, StoredSession } from "../storage/session_store.ts";
import { isSessionName, TTL_LABEL } from "./attach_request.ts";
import type { ContainerTerminals, SessionContainers } from "./container_terminals.ts";
import type { Session } from "./session.ts";
import type { SessionRegistry } from "./session_registry.ts";

export interface AdoptionPlan {
  /** They live; of those without a row nobody remembers who was attached. */
  readonly living: readonly StoredSession[];
  /** They were told of, and are gone or have ended. */
  readonly lost: readonly StoredSession[];
  /** Nobody was told of them, or their end was told: only their containers are left, if anything. */
  readonly remains: readonly StoredSession[];
}

export interface AdoptionFacts {
  readonly rows: readonly StoredSession[];
  readonly records: readonly ContainerRecord[];
  readonly engineId: string;
  /** Of one that is known by its label alone: whether this apex instance created it, and it has a terminal. */
  readonly isTerminal: (id: string) => boolean;
  /** For a container whose creation has no time. */
  readonly nowMs: number;
}

export function planAdoption(facts: AdoptionFacts): AdoptionPlan {
  const { rows, records } = facts;
  const byId = new Map(records.map((record) => [record.id, record]));
  const living: StoredSession[] = [];
  const lost: StoredSession[] = [];
  const remains: StoredSession[] = [];
  for (const row of rows) {
    if (row.state !== "living") remains.push(row);
    else if (isUp(byId.get(row.containerId))) living.push(row);
    else lost.push(row);
  }
  const names = new Set(living.map(({ name }) => name));
  for (const row of unknownSessions(facts)) {
    if (names.has(row.name)) continue;
    names.add(row.name);
    living.push(row);
  }
  return { living, lost, remains };
}

/** The containers that are a session by their label alone: it has to be asked whether they have a terminal. */
export function labelledOnly({ rows, records }: Pick<AdoptionFacts, "rows" | "records">): ContainerRecord[] {
  const known = new Set(rows.map(({ containerId }) => containerId));
  return records.filter((record) =>
    isUp(record) && !known.has(record.id) && isSessionName(record.labels[SESSION_LABEL] ?? "")
  );
}

/** The ids of those that have a terminal. Never rejects, but for the signal. */
export async function terminalsAmong(
  records: readonly ContainerRecord[],
  { containers, logger, signal }: {
    readonly containers: Pick<SessionContainers, "inspect">;
    readonly logger: Logger;
    readonly signal: AbortSignal;
  },
): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const { id, name } of records) {
    try {
      const { Config } = await containers.inspect(id, signal);
      if (Config.Tty) ids.add(id);
      else logger.warn(`container ${name} has a session's label, and no terminal: it is left alone`);
    } catch (error) {
      signal.throwIfAborted();
      logger.warn(`container ${name} has a session's label, and cannot be asked: ${messageOf(error)}`);
    }
  }
  return ids;
}

/** The newest first: of two with one name, that is the session. */
function unknownSessions(facts: AdoptionFacts): StoredSession[] {
  const { engineId, isTerminal, nowMs } = facts;
  return labelledOnly(facts)
    .filter(({ id }) => isTerminal(id))
    .map(({ id, image, labels, createdAt }) => {
      const createdAtMs = createdAt?.getTime() ?? nowMs;
      const ttlMs = Number(labels[TTL_LABEL]);
      return {
        containerId: id,
        name: labels[SESSION_LABEL] ?? "",
        engineId,
        state: "living",
        isAttached: false,
        image,
        columns: 80,
        rows: 24,
        createdAtMs,
        ...(ttlMs > 0 && { expiresAtMs: createdAtMs + ttlMs }),
      } as const;
    })
    .sort((a, b) => b.createdAtMs - a.createdAtMs);
}

function isUp(record: ContainerRecord | undefined): boolean {
  return record?.state === "running" || record?.state === "paused" || record?.state === "restarting";
}

export interface SessionTakeoverOptions {
  readonly containers: SessionContainers;
  readonly terminals: Pick<ContainerTerminals, "engineId">;
  readonly store: SessionStore;
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** What is left of that container is being taken care of already. */
  readonly isFinishing: (containerId: string) => boolean;
  /** The engine does not have that session's container, and will not tell of it. */
  readonly onVanished: (session: Session) => void;
  /** That container is no session, and has to go. */
  readonly onRemains: (containerId: string) => void;
}

/** Looks, whenever the engine was reached, which sessions it has: at first, those of an earlier life of the daemon. */
export class SessionTakeover {
  readonly #options: SessionTakeoverOptions;
  readonly #first = Promise.withResolvers<void>();
  #engineId: string | undefined;
  /** It has looked when all that happened in an earlier life, and after it, was told. */
  #hasSeenAll = false;

  constructor(options: SessionTakeoverOptions) {
    this.#options = options;
  }

  /** Of the engine whose sessions are known; undefined until it was reached. */
  get engineId(): string | undefined {
    return this.#engineId;
  }

  /** Resolves when the sessions of an engine are known for the first time. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** All that the engine has to tell is told: there may be a session that nobody knew of. Never rejects. */
  async caughtUp(): Promise<void> {
    if (!this.#hasSeenAll) await this.connected();
  }

  /** The engine's containers are known. Never rejects. */
  async connected(): Promise<void> {
    const { terminals, containers, store, logger, signal } = this.#options;
    const seesAll = containers.isCaughtUp;
    // Later on, an unknown one is not ours.
    const isLate = this.#hasSeenAll;
    this.#hasSeenAll ||= seesAll;
    try {
      const engineId = await terminals.engineId(signal);
      const rows = store.ofEngine(engineId);
      const records = containers.list().filter(({ id }) => containers.owns(id));
      const unknown = isLate ? [] : labelledOnly({ rows, records });
      this.#takeOver(engineId, await terminalsAmong(unknown, { containers, logger, signal }));
    } catch (error) {
      if (signal.aborted) return;
      logger.error(`cannot take over the sessions that the engine has: ${messageOf(error)}`);
    }
  }

  /** In one synchronous block: what it looks at does not change meanwhile. */
  #takeOver(engineId: string, withTerminal: ReadonlySet<string>): void {
    const { containers, store, registry, clock, isFinishing, onVanished, onRemains } = this.#options;
    for (const session of registry.list()) {
      // It is another engine: it tells nothing of what it does not have.
      if (containers.find(session.containerId) === undefined) onVanished(session);
    }
    const isHere = (id: string): boolean => registry.inContainer(id) !== undefined || isFinishing(id);
    const { living, lost, remains } = planAdoption({
      rows: store.ofEngine(engineId).filter(({ containerId }) => !isHere(containerId)),
      records: containers.list().filter(({ id }) => !isHere(id)),
      engineId,
      isTerminal: (id) => withTerminal.has(id),
      nowMs: clock.now(),
    });
    // Later on, one that is starting is one of ours.
    const left = remains.filter(({ state }) => this.#engineId === undefined || state === "ended");
    this.#engineId = engineId;
    for (const row of living) registry.takeOver(row).terminal.run();
    for (const row of lost) registry.endUnseen(row);
    for (const { containerId } of [...lost, ...left]) onRemains(containerId);
    this.#first.resolve();
  }
}
