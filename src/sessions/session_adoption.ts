/**
 * Adoption: the sessions that an engine has when apex connects to it, mostly those of an earlier daemon. They are found in
 * two places: in the rows that the earlier daemon left, and, after the loss of its database, by the labels of containers.
 */
import { SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { StoredSession } from "../storage/session_store.ts";
import { isSessionName, TTL_LABEL } from "./attach_request.ts";
import type { SessionReaper } from "./session_reaper.ts";
import type { SessionRegistry } from "./session_registry.ts";
import type { SessionServices } from "./session_services.ts";

export interface SessionAdoptionOptions extends SessionServices {
  readonly registry: SessionRegistry;
  readonly reaper: SessionReaper;
  readonly abort: AbortSignal;
}

/** Adopts an engine's sessions whenever apex connects to an engine. */
export class SessionAdoption {
  readonly #options: SessionAdoptionOptions;
  readonly #first = Promise.withResolvers<void>();
  #engineId: string | undefined;
  /** An adoption began after apex had published everything that happened before it connected. */
  #hasSeenAll = false;

  constructor(options: SessionAdoptionOptions) {
    this.#options = options;
  }

  /** The id of the engine whose sessions are known; undefined before the first adoption. */
  get engineId(): string | undefined {
    return this.#engineId;
  }

  /** Resolves after the first adoption. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Handles `engine:caught-up`: containers without a row may have been found since `engine:connected`. Never rejects. */
  async caughtUp(): Promise<void> {
    if (!this.#hasSeenAll) await this.connected();
  }

  /** Handles `engine:connected`, when the engine's containers are known. Never rejects. */
  async connected(): Promise<void> {
    const { terminals, containers, store, logger, abort } = this.#options;
    const seesAll = containers.isCaughtUp;
    // After that, a container without a row is not a session of an earlier daemon.
    const isLate = this.#hasSeenAll;
    this.#hasSeenAll ||= seesAll;
    try {
      const engineId = await terminals.engineId(abort);
      const rows = store.ofEngine(engineId);
      const records = containers.list().filter(({ id }) => containers.owns(id));
      const unknown = isLate ? [] : labelledOnly({ rows, records });
      await this.#adopt(engineId, await this.#withTerminal(unknown));
    } catch (error) {
      if (abort.aborted) return;
      logger.error(`cannot adopt the sessions of the engine: ${messageOf(error)}`);
    }
  }

  /** Everything is read and changed before the first await. */
  async #adopt(engineId: string, withTerminal: ReadonlySet<string>): Promise<void> {
    const { containers, store, registry, reaper, clock } = this.#options;
    for (const session of registry.list()) {
      // This is another engine, which will not report the removal of a container that it does not have.
      if (containers.find(session.containerId) === undefined) reaper.end(session, { isRemoved: true });
    }
    const isKnown = (id: string): boolean => registry.inContainer(id) !== undefined || reaper.isFinishing(id);
    const { living, lost, remains } = planAdoption({
      rows: store.ofEngine(engineId).filter(({ containerId }) => !isKnown(containerId)),
      records: containers.list().filter(({ id }) => !isKnown(id)),
      engineId,
      isTerminal: (id) => withTerminal.has(id),
      nowMs: clock.now(),
    });
    // After the first adoption, a row in the state `starting` belongs to a session that this daemon is creating.
    const left = remains.filter(({ state }) => this.#engineId === undefined || state === "ended");
    this.#engineId = engineId;
    for (const row of living) registry.adopt(row).terminal.run();
    for (const row of lost) registry.endMissed(row);
    this.#first.resolve();
    await Promise.all([...lost, ...left].map(({ containerId }) => reaper.remove(containerId)));
  }

  /** Returns the ids of those containers that have a terminal. @throws the abort reason */
  async #withTerminal(records: readonly ContainerRecord[]): Promise<Set<string>> {
    const { containers, logger, abort } = this.#options;
    const ids = new Set<string>();
    for (const { id, name } of records) {
      try {
        const { Config } = await containers.inspect(id, abort);
        if (Config.Tty) ids.add(id);
        else logger.warn(`container ${name} has the label of a session but no terminal: not adopted`);
      } catch (error) {
        abort.throwIfAborted();
        logger.warn(`cannot adopt container ${name}, which has the label of a session: ${messageOf(error)}`);
      }
    }
    return ids;
  }
}

export interface AdoptionPlan {
  /** Sessions that continue. */
  readonly living: readonly StoredSession[];
  /** Sessions that were published, and that have ended since. */
  readonly lost: readonly StoredSession[];
  /** Sessions that were never published, or whose end was published: at most their containers have to be removed. */
  readonly remains: readonly StoredSession[];
}

export interface AdoptionFacts {
  readonly rows: readonly StoredSession[];
  readonly records: readonly ContainerRecord[];
  readonly engineId: string;
  /** For a container that has only a label: whether this apex instance created it, and it has a terminal. */
  readonly isTerminal: (id: string) => boolean;
  /** The creation time of containers whose creation time is unknown. */
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
  for (const row of sessionsByLabel(facts)) {
    if (names.has(row.name)) continue;
    names.add(row.name);
    living.push(row);
  }
  return { living, lost, remains };
}

/** Running containers that are sessions by their label alone. Whether they have a terminal must be asked of the engine. */
function labelledOnly({ rows, records }: Pick<AdoptionFacts, "rows" | "records">): ContainerRecord[] {
  const known = new Set(rows.map(({ containerId }) => containerId));
  return records.filter((record) =>
    isUp(record) && !known.has(record.id) && isSessionName(record.labels[SESSION_LABEL] ?? "")
  );
}

/** The newest first: of two containers with the same session name, the newer one is the session. */
function sessionsByLabel(facts: AdoptionFacts): StoredSession[] {
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
