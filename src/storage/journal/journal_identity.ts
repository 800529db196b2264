/**
 * Which epoch the journal's numbers belong to, and what that depends on: the rows in `meta`, and beside the database a
 * mark, a file that is there exactly while the journal takes all that is told. The mark is a file of its own because it
 * must go when nothing can be written, on a full disk above all.
 */
import * as v from "valibot";
import { randomHex } from "../../platform/random_hex.ts";
import { DamageError, IN_MEMORY, type SqliteConnection } from "../sqlite_connection.ts";
import { eventRange, MAX_SEQ, timeAt } from "./event_rows.ts";

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

const flagSchema = v.optional(v.picklist(["0", "1"]), "0");
const seqSchema = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_SEQ));

/** Rows of `meta`, by key. */
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

/** What an earlier life left: nothing in a new database. */
export interface Past {
  readonly stored?: JournalIdentity | undefined;
  readonly range?: ReturnType<typeof eventRange>;
  /** Of the newest event. */
  readonly lastTimeMs?: number | undefined;
}

/** @throws {DamageError} */
export function readPast(connection: SqliteConnection): Past {
  const range = eventRange(connection);
  return {
    stored: readIdentity(connection),
    range,
    lastTimeMs: range === undefined ? undefined : timeAt(connection, range.newest),
  };
}

/** Undefined in a new database. @throws {DamageError} for what was not written so */
function readIdentity(connection: SqliteConnection): JournalIdentity | undefined {
  const rows = connection.rows("SELECT key, value FROM meta");
  const values = new Map(rows.map(({ key, value }) => [key, value]));
  if (!values.has("epoch")) return undefined;
  const parsed = v.safeParse(metaSchema, Object.fromEntries(values));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new DamageError(
      `its record of the journal is invalid (${v.getDotPath(issue)}: ${issue.message})`,
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
  /** There was a database, which could not be used. */
  readonly hasLostPast: boolean;
}

/**
 * What this life is, after the one that `stored` tells of. Where events may be missing, its floor leaves out one number
 * after `headSeq`: a hole that readers are told of.
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
  // Events may have been told that are not here: what is here is before them.
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

/** The same epochs and one more; the oldest are forgotten. */
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
  /** Undefined: beside a database in memory there is none. */
  readonly #path: string | undefined;

  /** @param databasePath the mark is beside it */
  constructor(databasePath: string) {
    this.#path = databasePath === IN_MEMORY ? undefined : `${databasePath}-journaled`;
  }

  get exists(): boolean {
    if (this.#path === undefined) return false;
    try {
      return Deno.statSync(this.#path).isFile;
    } catch (error) {
      if (isOfFileSystem(error)) return false;
      throw error;
    }
  }

  /** Where it cannot be set, the next start begins a new epoch: safe, though not needed. */
  set(): void {
    if (this.#path === undefined) return;
    try {
      Deno.openSync(this.#path, { write: true, create: true, mode: 0o600 }).close();
    } catch (error) {
      if (!isOfFileSystem(error)) throw error;
    }
  }

  /** Where it cannot be cleared, the file system is not writable at all, and then not by the next start either. */
  clear(): void {
    if (this.#path === undefined) return;
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
