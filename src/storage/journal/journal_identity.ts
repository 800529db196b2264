/**
 * Decides to which epoch the journal's numbers belong. That depends on rows of the `meta` table, and on a mark: a file beside
 * the database that exists exactly while the journal writes every published event. The mark is a file because it must be
 * removed when nothing can be written, above all on a full disk.
 */
import * as v from "valibot";
import { randomHex } from "../../platform/random_hex.ts";
import { IN_MEMORY, type SqliteConnection, UnusableFileError } from "../sqlite_connection.ts";
import { eventRange, MAX_SEQ, timeAt } from "./event_rows.ts";

/** Past epochs whose cursors are still understood. */
const MAX_PAST_EPOCHS = 32;

/** The stored identity of the journal. */
export interface JournalIdentity {
  /** 16 hex digits. */
  readonly epoch: string;
  /** The boot of the machine in which the daemon last wrote; undefined where the system does not identify boots. */
  readonly bootId?: string;
  /** The daemon ended in order. */
  readonly isClean: boolean;
  /** Every event of this epoch is journaled. */
  readonly isJournaled: boolean;
  /** The oldest `seq` to resume from: no later event is missing. Older events are history only. */
  readonly floorSeq: number;
  /** By earlier epoch, the last `seq` that its numbering shares with the epoch after it; oldest first. */
  readonly pastEpochs: ReadonlyMap<string, number>;
}

const flagSchema = v.optional(v.picklist(["0", "1"]), "0");
const seqSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_SEQ));

/** The rows of `meta`, by key. */
const metaSchema = v.object({
  epoch: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  boot_id: v.optional(v.string(), ""),
  is_clean: flagSchema,
  is_journaled: flagSchema,
  floor_seq: v.optional(v.pipe(v.string(), v.regex(/^\d+$/), v.transform(Number), seqSchema), "1"),
  past_epochs: v.optional(
    v.pipe(v.string(), v.parseJson(), v.array(v.tuple([v.string(), seqSchema]))),
    "[]",
  ),
});

/** Reads what an earlier daemon left. @throws {UnusableFileError} */
export function readPast(connection: SqliteConnection): {
  readonly stored?: JournalIdentity | undefined;
  readonly range?: ReturnType<typeof eventRange>;
  /** When the newest event was published. */
  readonly lastTimeMs?: number | undefined;
} {
  const range = eventRange(connection);
  const lastTimeMs = range === undefined ? undefined : timeAt(connection, range.newest);
  return { stored: readIdentity(connection), range, lastTimeMs };
}

/** Undefined in a new database. @throws {UnusableFileError} when apex cannot have written what is stored */
function readIdentity(connection: SqliteConnection): JournalIdentity | undefined {
  const rows = connection.rows("SELECT key, value FROM meta");
  const values = Object.fromEntries(rows.map(({ key, value }) => [key, value]));
  if (!("epoch" in values)) return undefined;
  const parsed = v.safeParse(metaSchema, values);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new UnusableFileError(
      `the record of the journal is invalid (${v.getDotPath(issue)}: ${issue.message})`,
    );
  }
  const { epoch, boot_id, is_clean, is_journaled, floor_seq, past_epochs } = parsed.output;
  return {
    epoch,
    ...(boot_id !== "" && { bootId: boot_id }),
    isClean: is_clean === "1",
    isJournaled: is_journaled === "1",
    floorSeq: floor_seq,
    pastEpochs: new Map(past_epochs),
  };
}

export function writeIdentity(connection: SqliteConnection, identity: JournalIdentity): void {
  const values = {
    epoch: identity.epoch,
    "boot_id": identity.bootId ?? "",
    "is_clean": identity.isClean ? "1" : "0",
    "is_journaled": identity.isJournaled ? "1" : "0",
    "floor_seq": String(identity.floorSeq),
    "past_epochs": JSON.stringify([...identity.pastEpochs]),
  };
  for (const [key, value] of Object.entries(values)) {
    connection.run("INSERT OR REPLACE INTO meta (key, value) VALUES (:key, :value)", { key, value });
  }
}

/** What a daemon finds when it starts. */
export interface JournalStart {
  readonly bootId: string | undefined;
  /** It will journal its events. */
  readonly isJournaled: boolean;
  /** `seq` of the last known event. */
  readonly headSeq: number;
  /** The {@linkcode JournalMark} exists. */
  readonly isMarked: boolean;
  /** A database existed that could not be used. */
  readonly hasLostPast: boolean;
}

/**
 * The identity of this daemon's journal, after the identity that an earlier daemon stored. When events may be missing, the
 * floor skips one number after `headSeq`, so that subscribers get a gap record.
 */
export function nextIdentity(
  stored: JournalIdentity | undefined,
  { bootId, isJournaled, headSeq, isMarked, hasLostPast }: JournalStart,
): JournalIdentity {
  const mine = { ...(bootId !== undefined && { bootId }), isClean: false, isJournaled };
  if (stored === undefined) {
    const wasOne = isMarked || hasLostPast;
    return { ...mine, epoch: newEpoch(), floorSeq: headSeq + (wasOne ? 2 : 1), pastEpochs: new Map() };
  }
  // Later events may have been published that are not in the journal.
  const hasHole = !stored.isJournaled || !isMarked;
  const isSure = stored.isClean || (stored.bootId !== undefined && stored.bootId === bootId);
  if (isJournaled && isSure && !hasHole) return { ...stored, ...mine };
  return {
    ...mine,
    epoch: newEpoch(),
    floorSeq: hasHole ? headSeq + 2 : stored.floorSeq,
    pastEpochs: withPastEpoch(stored.pastEpochs, [stored.epoch, headSeq]),
  };
}

/** Returns the epochs with one more, without the oldest beyond the limit. */
export function withPastEpoch(
  epochs: ReadonlyMap<string, number>,
  [epoch, lastSeq]: readonly [string, number],
): Map<string, number> {
  return new Map([...epochs, [epoch, lastSeq] as const].slice(-MAX_PAST_EPOCHS));
}

/** 16 random hex digits. */
export function newEpoch(): string {
  return randomHex(8);
}

/** Identifies the boot of the machine; undefined outside Linux. */
export function readBootId(): string | undefined {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The file whose existence says that no event is missing from the journal. */
export class JournalMark {
  /** Undefined for a database in memory, which has no mark. */
  readonly #path: string | undefined;

  constructor(databasePath: string) {
    this.#path = databasePath === IN_MEMORY ? undefined : `${databasePath}-journaled`;
  }

  get exists(): boolean {
    return this.#access((path) => Deno.statSync(path).isFile) ?? false;
  }

  /** If it cannot be created, the next daemon begins a new epoch: safe, though not necessary. */
  set(): void {
    this.#access((path) => Deno.openSync(path, { write: true, create: true, mode: 0o600 }).close());
  }

  /** If it cannot be removed, the file system is not writable, and the next daemon finds it so too. */
  clear(): void {
    this.#access((path) => Deno.removeSync(path));
  }

  /** Undefined when the file system refuses. Deno gives each of its own errors a code. */
  #access<T>(work: (path: string) => T): T | undefined {
    if (this.#path === undefined) return undefined;
    try {
      return work(this.#path);
    } catch (error) {
      if (error instanceof Error && "code" in error) return undefined;
      throw error;
    }
  }
}
