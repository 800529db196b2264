/**
 * Which epoch the journal's numbers belong to, and what that depends on: the rows in `meta`, and beside the database a
 * mark, a file that is there exactly while the journal takes all that is told. The mark is a file of its own because it
 * must go when nothing can be written, on a full disk above all.
 */
import type { SqliteConnection } from "./sqlite_connection.ts";

/** Epochs of the past whose cursors can still be placed. */
const MAX_PAST_EPOCHS = 32;

/** What is stored of the journal's identity. */
export interface JournalIdentity {
  /** 16 hex digits. */
  readonly epoch: string;
  /** Of the machine's start in which the daemon last wrote; undefined where the system tells none. */
  readonly bootId?: string;
  /** The daemon ended in order. */
  readonly isClean: boolean;
  /** Every event of this epoch is journaled. */
  readonly isJournaled: boolean;
  /** From this `seq` on there is no hole: what is older is history, and nothing to resume from. */
  readonly floorSeq: number;
  /** Earlier epochs, and the last `seq` that their numbering shares with the one after; oldest first. */
  readonly pastEpochs: ReadonlyMap<string, number>;
}

/** Undefined in a new database. */
export function readIdentity(connection: SqliteConnection): JournalIdentity | undefined {
  const rows = connection.rows("SELECT key, value FROM meta");
  const values = new Map(rows.map(({ key, value }) => [String(key), String(value)]));
  const epoch = values.get("epoch");
  if (epoch === undefined) return undefined;
  const bootId = values.get("boot_id");
  return {
    epoch,
    ...(bootId !== undefined && bootId !== "" && { bootId }),
    isClean: values.get("is_clean") === "1",
    isJournaled: values.get("is_journaled") === "1",
    floorSeq: Number(values.get("floor_seq") ?? 1),
    pastEpochs: new Map(JSON.parse(values.get("past_epochs") ?? "[]")),
  };
}

export function writeIdentity(connection: SqliteConnection, identity: JournalIdentity): void {
  const values = [
    ["epoch", identity.epoch],
    ["boot_id", identity.bootId ?? ""],
    ["is_clean", identity.isClean ? "1" : "0"],
    ["is_journaled", identity.isJournaled ? "1" : "0"],
    ["floor_seq", String(identity.floorSeq)],
    ["past_epochs", JSON.stringify([...identity.pastEpochs])],
  ] as const;
  for (const [key, value] of values) {
    connection.run("INSERT OR REPLACE INTO meta (key, value) VALUES (:key, :value)", { key, value });
  }
}

/** What a life of the daemon finds when it begins. */
export interface JournalStart {
  readonly bootId: string | undefined;
  /** It will journal what it tells. */
  readonly isJournaled: boolean;
  /** Of the last event that is known. */
  readonly headSeq: number;
  /** The {@linkcode JournalMark} is there. */
  readonly isMarked: boolean;
}

/** What this life is, after the one that `stored` tells of. */
export function nextIdentity(
  stored: JournalIdentity | undefined,
  { bootId, isJournaled, headSeq, isMarked }: JournalStart,
): JournalIdentity {
  const mine = { ...(bootId !== undefined && { bootId }), isClean: false, isJournaled };
  if (stored === undefined) {
    return { ...mine, epoch: newEpoch(), floorSeq: headSeq + 1, pastEpochs: new Map() };
  }
  // Events were told that are not here: what is here is before them.
  const hasHole = !stored.isJournaled || !isMarked;
  const isSure = stored.isClean || (stored.bootId !== undefined && stored.bootId === bootId);
  if (isJournaled && isSure && !hasHole) return { ...stored, ...mine };
  return {
    ...mine,
    epoch: newEpoch(),
    floorSeq: hasHole ? headSeq + 1 : stored.floorSeq,
    pastEpochs: withPastEpoch(stored.pastEpochs, [stored.epoch, headSeq]),
  };
}

/** The same epochs and one more; the oldest are forgotten. */
export function withPastEpoch(
  epochs: ReadonlyMap<string, number>,
  [epoch, lastSeq]: readonly [string, number],
): Map<string, number> {
  return new Map([...epochs, [epoch, lastSeq] as const].slice(-MAX_PAST_EPOCHS));
}

/** 16 random hex digits. */
export function newEpoch(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Another one after each start of the machine; undefined where there is none (outside Linux). */
export function readBootId(): string | undefined {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The file that says that the journal beside it has no hole. */
export class JournalMark {
  readonly #path: string;

  /** @param databasePath the mark is beside it */
  constructor(databasePath: string) {
    this.#path = `${databasePath}-journaled`;
  }

  get exists(): boolean {
    try {
      return Deno.statSync(this.#path).isFile;
    } catch (error) {
      if (isOfFileSystem(error)) return false;
      throw error;
    }
  }

  /** Where it cannot be set, the next start begins a new epoch: safe, though not needed. */
  set(): void {
    try {
      Deno.openSync(this.#path, { write: true, create: true, mode: 0o600 }).close();
    } catch (error) {
      if (!isOfFileSystem(error)) throw error;
    }
  }

  /** Where it cannot be cleared, the file system is not writable at all, and then not by the next start either. */
  clear(): void {
    try {
      Deno.removeSync(this.#path);
    } catch (error) {
      if (!isOfFileSystem(error)) throw error;
    }
  }
}

/** What the system said, and no mistake in the program: Deno gives each of its own errors a code. */
function isOfFileSystem(error: unknown): boolean {
  return error instanceof Error && "code" in error;
}
