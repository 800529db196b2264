/** What a new daemon makes of the sessions of an earlier one: from the rows that it left, and from the engine's containers. */
import { SESSION_LABEL } from "../containers/operations/apex_labels.ts";
import type { ContainerRecord } from "../containers/reconcile/container_record.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";
import type { StoredSession } from "../storage/stored_session.ts";
import { isSessionName, TTL_LABEL } from "./attach_request.ts";
import type { SessionContainers } from "./session_containers.ts";

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
