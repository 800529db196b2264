/**
 * The events on disk: what was told, in order and without a hole, so that whoever was away reads on where it stopped.
 *
 * The event log commits each batch here before anybody sees it, in one transaction with the rows of state that changed
 * in the same block. A cursor `<epoch>:<seq>` names the same event for as long as its epoch lives, over any number of
 * daemons. A new epoch begins where that cannot be promised: with a new database; after a machine's sudden end, which
 * may have undone the last commits; after events that were told but not written. A refused or failed commit is such a
 * case: from then on the journal is `failed`, and the log goes on without it, in a new epoch. Once the database is
 * written again, so is the journal, from the next event on; what it holds from before the hole is history only. Where a
 * life ends without that, the next one cannot know how much was told: it leaves out one number, which is told as the hole.
 *
 *     on ──commit refused──► failed (new epoch) ──database written again──► on
 *     on ──database damaged, a new one begun──► on (new epoch, nothing before)
 *     failed for good: the database is in memory, because no file could be used
 *     off: not wanted: an epoch for each life
 */
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { CommitPoint, Database, RowWriter } from "../database.ts";
import type { FileChange } from "../open_database.ts";
import { IN_MEMORY, type SqliteConnection } from "../sqlite_connection.ts";
import {
  type ChunkOptions,
  eventRange,
  eventsAfter,
  eventsBefore,
  firstSeqAt,
  insertEvents,
  type JournalLine,
  lastDeletedMs,
  newestBefore,
  type StoredEvent,
} from "./event_rows.ts";
import {
  type JournalIdentity,
  JournalMark,
  newEpoch,
  nextIdentity,
  readBootId,
  readPast,
  withPastEpoch,
  writeIdentity,
} from "./journal_identity.ts";
import { JournalRetention, type RetentionLimits } from "./journal_retention.ts";

/** Rows written between two looks at how much there is. */
const LOOK_EVERY_ROWS = 2_048;

export interface JournalOptions extends RetentionLimits {
  /** False: nothing is journaled (`--no-journal`), and each life has an epoch of its own. True by default. */
  readonly isKept?: boolean;
  /** Of this start of the machine; the system's own by default. */
  readonly bootId?: string;
}

/** `failed`: it should take what is told, and cannot. */
export type JournalState = "on" | "off" | "failed";

export interface JournalStatus {
  readonly state: JournalState;
  /** `seq` of the oldest event to resume from; one past the newest when there is none. */
  readonly oldestSeq: number;
  /** `seq` of the newest event that is journaled. */
  readonly newestSeq: number;
}

/** Numbers of events, both ends included. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

export class EventJournal implements RowWriter, Disposable {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #mark: JournalMark;
  readonly #retention: JournalRetention | undefined;
  #identity: JournalIdentity;
  #state: JournalState;
  /** The identity on disk is another. */
  #isIdentityChanged = false;
  /** What {@linkcode EventJournal.commit} is writing; nothing between two calls. */
  #batch: readonly JournalLine[] = [];
  /** Of the newest event that was told, journaled or not. */
  #headSeq: number;
  #newestSeq: number;
  #oldestSeq: number;
  #lastTimeMs: number;
  #rowsSinceLook = 0;

  /**
   * @param options.path of the database
   * @param options.exemptBytes what of the database the journal's limit does not count
   */
  constructor(
    options: JournalOptions & {
      database: Database;
      clock: Clock;
      logger: Logger;
      path: string;
      exemptBytes: () => number;
    },
  ) {
    const { database, clock, logger, isKept = true, bootId = readBootId() } = options;
    this.#database = database;
    this.#clock = clock;
    this.#logger = logger;
    this.#mark = new JournalMark(options.path);
    // All at once: of a file that is damaged somewhere nothing counts.
    const { stored, range, lastTimeMs = 0 } = database.read(readPast, {});
    this.#lastTimeMs = lastTimeMs;
    this.#state = !isKept || options.path === IN_MEMORY ? "off" : database.isInMemory ? "failed" : "on";
    const isMarked = this.#mark.exists;
    const { hasLostPast } = database;
    this.#identity = nextIdentity(stored, {
      bootId,
      isJournaled: this.#state === "on",
      // Events that were told but not journaled have had their numbers, too.
      headSeq: Math.max(range?.newest ?? 0, (stored?.floorSeq ?? 1) - 1),
      isMarked,
      hasLostPast,
    });
    if (stored === undefined && isMarked && !hasLostPast && !database.isInMemory) {
      logger.warn(
        `the database ${options.path} is gone: what it told of the past is missing, and a new one began`,
      );
    }
    this.#headSeq = this.#newestSeq = Math.max(range?.newest ?? 0, this.#identity.floorSeq - 1);
    this.#oldestSeq = Math.max(this.#identity.floorSeq, range?.oldest ?? this.#newestSeq + 1);
    database.join(this);
    this.#begin();
    if (this.#state !== "off") {
      const onDeleted = (): void => this.#deletedOldest();
      const onFileChanged = (change: FileChange): void => this.#fileChanged(change);
      const { exemptBytes } = options;
      this.#retention = new JournalRetention({
        database,
        clock,
        limits: options,
        exemptBytes,
        onDeleted,
        onFileChanged,
      });
    }
  }

  /** 16 hex digits. Another one once a commit failed: look again after each. */
  get epoch(): string {
    return this.#identity.epoch;
  }

  /** `seq` of the newest event that was told; 0 before the first. */
  get headSeq(): number {
    return this.#headSeq;
  }

  get status(): JournalStatus {
    return { state: this.#state, oldestSeq: this.#oldestSeq, newestSeq: this.#newestSeq };
  }

  /** The event with that `seq` is there, and so is each newer one up to {@linkcode JournalStatus.newestSeq}. */
  covers(seq: number): boolean {
    return seq >= this.#oldestSeq && seq <= this.#newestSeq;
  }

  /** The last `seq` that an earlier epoch and this one have in common; undefined for an epoch that is not known. */
  lastSharedSeq(epoch: string): number | undefined {
    return this.#identity.pastEpochs.get(epoch);
  }

  /** Registers the event log: `commitEvents` commits and publishes what it holds. Returns when that is due. */
  joinLog(commitEvents: () => void): CommitPoint {
    return this.#database.joinLog(commitEvents);
  }

  /**
   * Makes a batch durable, with the rows of state that have changed. Never throws for what the database does; if it
   * cannot be written, a new {@linkcode EventJournal.epoch} begins with the batch's first event.
   */
  commit(lines: Iterable<JournalLine>): void {
    const batch = [...lines];
    const last = batch.at(-1);
    if (this.#state !== "on") {
      if (last !== undefined) this.#headSeq = last.seq;
      if (!this.#database.isRefused) this.#database.writeChanges();
      return;
    }
    this.#batch = batch;
    this.#database.changed(this);
    const isWritten = this.#database.writeChanges();
    this.#batch = [];
    if (!isWritten) this.#fail();
    if (last !== undefined) this.#headSeq = last.seq;
  }

  /**
   * The events after `afterSeq`, oldest first: a bounded number, so that one call takes a millisecond or so. Empty when there
   * are none (of that task), undefined when they cannot be read.
   */
  read({ afterSeq, ...options }: ChunkOptions & { readonly afterSeq: number }): StoredEvent[] | undefined {
    return this.#database.read(
      (connection) => eventsAfter(connection, { ...options, seq: afterSeq }),
      undefined,
    );
  }

  /** The events before `beforeSeq`, newest first, holes and all: history. Otherwise as {@linkcode EventJournal.read}. */
  readBack(
    { beforeSeq, ...options }: ChunkOptions & { readonly beforeSeq: number },
  ): StoredEvent[] | undefined {
    return this.#database.read(
      (connection) => eventsBefore(connection, { ...options, seq: beforeSeq }),
      undefined,
    );
  }

  /** The last events that were told and never written; undefined when all are there that are not too old. */
  get lastHole(): SeqRange | undefined {
    if (this.#headSeq > this.#newestSeq) return { first: this.#newestSeq + 1, last: this.#headSeq };
    return this.#holeBelowFloor;
  }

  /** Nothing reaches a disk, and nothing of an earlier life is here. */
  get isInMemory(): boolean {
    return this.#database.isInMemory;
  }

  /** The `seq` of the first event published at `timeMs` (since the Unix epoch) or later; past the newest when there is none. */
  firstSeqAt(timeMs: number): number {
    return this.#database.read((connection) => firstSeqAt(connection, timeMs), this.#headSeq + 1);
  }

  /**
   * The `seq` after which to begin in order to miss nothing that was published at `timeMs` or later: where some of that is not
   * kept any more, or was never written, it is so early that resuming there tells of a gap.
   */
  seqBefore(timeMs: number): number {
    const firstSeq = this.firstSeqAt(timeMs);
    if (firstSeq > this.#oldestSeq) return firstSeq - 1;
    const deletedMs = this.#database.read(lastDeletedMs, undefined);
    if (deletedMs !== undefined && deletedMs >= timeMs) return 0;
    // Of what could not be written it is not known when it was told.
    const hole = firstSeq === this.#identity.floorSeq ? this.#holeBelowFloor : undefined;
    return (hole?.first ?? firstSeq) - 1;
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    if (this.#canRecover) writeIdentity(connection, this.#recoveredIdentity());
    else if (this.#isIdentityChanged) writeIdentity(connection, this.#identity);
    if (this.#state !== "on") return;
    this.#lastTimeMs = Math.max(this.#lastTimeMs, this.#clock.now());
    insertEvents(connection, { lines: this.#batch, timeMs: this.#lastTimeMs });
  }

  /** For the database. */
  rowsWritten(): void {
    if (this.#canRecover) this.#recovered();
    if (this.#isIdentityChanged && this.#state === "on" && this.#database.checkFile() !== "replaced") {
      this.#mark.set();
    }
    this.#isIdentityChanged = false;
    const last = this.#batch.at(-1);
    if (last === undefined || this.#state !== "on") return;
    this.#newestSeq = last.seq;
    this.#rowsSinceLook += this.#batch.length;
    if (this.#rowsSinceLook < LOOK_EVERY_ROWS) return;
    this.#rowsSinceLook = 0;
    this.#retention?.lookSoon();
  }

  /** For the database. */
  databaseReplaced(): void {
    const isKept = this.#state !== "off" && !this.#database.isInMemory;
    const floorSeq = this.#headSeq + 1;
    this.#changeEpoch({ floorSeq, isJournaled: isKept });
    this.#oldestSeq = floorSeq;
    this.#newestSeq = floorSeq - 1;
    if (!isKept) this.#mark.clear();
    if (this.#state !== "off") this.#state = isKept ? "on" : "failed";
  }

  /** Notes that this life ended in order. To be called before the database is closed. */
  [Symbol.dispose](): void {
    this.#retention?.[Symbol.dispose]();
    if (this.#state !== "on" || this.#identity.isClean) return;
    this.#identity = { ...this.#identity, isClean: true };
    this.#isIdentityChanged = true;
    this.#database.changed(this);
    this.#database.flush();
  }

  get #holeBelowFloor(): SeqRange | undefined {
    const last = this.#identity.floorSeq - 1;
    const before = this.#database.read((connection) => newestBefore(connection, last + 1), undefined) ?? 0;
    return before < last ? { first: before + 1, last } : undefined;
  }

  /** It failed, and comes back as soon as something is written. */
  get #canRecover(): boolean {
    return this.#state === "failed" && !this.#database.isInMemory;
  }

  /** Says on disk that this life has begun: before the first event, and so that a power failure cannot undo it. */
  #begin(): void {
    if (this.#state !== "on") this.#mark.clear();
    if (this.#database.isInMemory) return;
    this.#isIdentityChanged = true;
    this.#database.changed(this);
    if (!this.#database.writeChanges({ isDurable: true }) && this.#state === "on") this.#fail();
  }

  #fail(): void {
    this.#state = "failed";
    this.#changeEpoch({ isJournaled: false });
    this.#mark.clear();
    this.#database.changed(this);
    // The database has said loudly why.
    this.#logger.info(
      `events are not journaled since number ${this.#headSeq}; the event log goes on in epoch ${this.epoch}`,
    );
  }

  /** As it is to be when the database is written again: it goes on behind the hole. */
  #recoveredIdentity(): JournalIdentity {
    return { ...this.#identity, isJournaled: true, floorSeq: this.#headSeq + 1 };
  }

  #recovered(): void {
    this.#identity = this.#recoveredIdentity();
    this.#oldestSeq = this.#identity.floorSeq;
    this.#newestSeq = this.#headSeq;
    this.#state = "on";
    this.#isIdentityChanged = true;
    this.#logger.info(`events are journaled again, from number ${this.#oldestSeq} on`);
  }

  #changeEpoch(changes: Pick<JournalIdentity, "isJournaled"> & Partial<JournalIdentity>): void {
    const pastEpochs = withPastEpoch(this.#identity.pastEpochs, [this.epoch, this.#headSeq]);
    this.#identity = { ...this.#identity, pastEpochs, ...changes, epoch: newEpoch() };
    this.#isIdentityChanged = true;
  }

  /** What takes the file's place lacks what is told; where there is none, the next life knows by the mark. */
  #fileChanged(change: FileChange): void {
    if (change === "replaced") this.#mark.clear();
  }

  #deletedOldest(): void {
    const range = this.#database.read(eventRange, undefined);
    this.#oldestSeq = Math.max(this.#oldestSeq, range?.oldest ?? this.#newestSeq + 1);
  }
}
