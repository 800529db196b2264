/**
 * The events on disk, in order and without gaps, so that a subscriber can resume after an absence of any length. (The file is
 * longer than others because every failure changes state, epoch and ranges together.)
 *
 * The storage opens the journal and closes it. The event log passes each batch of events to {@linkcode EventJournal.commit}
 * before any subscriber sees it. One transaction writes the batch together with the changed rows of state.
 *
 * A cursor `<epoch>:<seq>` identifies the same event for as long as its epoch lasts, also across restarts of the daemon. A new
 * epoch begins when the journal cannot promise that: with a new database, after a crash of the machine (which may have undone
 * the last commits), and after events that were published but not written.
 *
 * - A commit is refused (full disk, locked file): the event log continues in a new epoch without the journal. When the
 *   database can be written again, the journal continues with the next event, and events from before the gap are history
 *   only. If the daemon ends before that, the next one cannot know how many events were published: it skips one number, which
 *   is reported as the gap.
 * - The file is damaged: the journal continues in a new database and a new epoch, without earlier events.
 *
 *     on ──commit refused──► failed (new epoch) ──database can be written again──► on
 *     on ──database damaged, new one created──► on (new epoch, nothing before it)
 *     failed until the end: no file could be used, so the database is in memory
 *     off: not wanted; each daemon has an epoch of its own
 */
import type { CommitPoint } from "../commit_point.ts";
import type { Database, RowWriter } from "../database.ts";
import type { DatabaseOptions } from "../open_database.ts";
import { IN_MEMORY, type SqliteConnection } from "../sqlite_connection.ts";
import {
  type ChunkOptions,
  eventRange,
  firstSeqAt,
  insertEvents,
  type JournalLine,
  lastDeletedMs,
  newestBefore,
  readEvents,
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

/** Rows written between two checks of the retention limits. */
const CHECK_EVERY_ROWS = 2_048;

export interface JournalOptions extends RetentionLimits {
  /** False: no event is journaled (`--no-journal`). True by default. */
  readonly isKept?: boolean;
  /** Identifies the boot of the machine; read from the system by default. */
  readonly bootId?: string;
}

export interface JournalStatus {
  /** `failed`: the journal is wanted and cannot be written. */
  readonly state: "on" | "off" | "failed";
  /** `seq` of the oldest event to resume from; one past the newest when none exists. */
  readonly oldestSeq: number;
  /** `seq` of the newest event in the journal. */
  readonly newestSeq: number;
}

/** A range of event numbers, both ends included. */
export interface SeqRange {
  readonly first: number;
  readonly last: number;
}

export class EventJournal implements RowWriter, Disposable {
  readonly #options: DatabaseOptions;
  readonly #database: Database;
  readonly #mark: JournalMark;
  readonly #retention: JournalRetention | undefined;
  #identity: JournalIdentity;
  #state: JournalStatus["state"];
  /** The identity on disk is outdated. */
  #isIdentityChanged = false;
  /** The lines that {@linkcode EventJournal.commit} is writing; empty between two calls. */
  #batch: readonly JournalLine[] = [];
  /** Of the newest published event, journaled or not. */
  #headSeq: number;
  #newestSeq: number;
  #oldestSeq: number;
  #lastTimeMs: number;
  #rowsSinceCheck = 0;

  /** @param options.exemptBytes how much of the database does not count for `maxBytes` */
  constructor(
    options: JournalOptions & DatabaseOptions & { database: Database; exemptBytes: () => number },
  ) {
    const { database, path, isKept = true, bootId = readBootId() } = options;
    this.#options = options;
    this.#database = database;
    this.#mark = new JournalMark(path);
    // In one read: when any part of it is damaged, a new database replaces the old one.
    const { stored, range, lastTimeMs = 0 } = database.read(readPast, {});
    this.#lastTimeMs = lastTimeMs;
    this.#state = !isKept || path === IN_MEMORY ? "off" : database.isInMemory ? "failed" : "on";
    const isMarked = this.#mark.exists;
    const { hasLostPast } = database;
    this.#identity = nextIdentity(stored, {
      bootId,
      isJournaled: this.#state === "on",
      // Events that were published but not journaled have used numbers too.
      headSeq: Math.max(range?.newest ?? 0, (stored?.floorSeq ?? 1) - 1),
      isMarked,
      hasLostPast,
    });
    if (stored === undefined && isMarked && !hasLostPast && !database.isInMemory) {
      options.logger.warn(
        `the database ${path} was removed: its history is lost, and a new database was created`,
      );
    }
    this.#headSeq = this.#newestSeq = Math.max(range?.newest ?? 0, this.#identity.floorSeq - 1);
    this.#oldestSeq = Math.max(this.#identity.floorSeq, range?.oldest ?? this.#newestSeq + 1);
    database.join(this);
    this.#begin();
    if (this.#state === "off") return;
    this.#retention = new JournalRetention({
      ...options,
      onDeleted: () => this.#oldestDeleted(),
      // A file that replaced the database lacks the events of this daemon. For a deleted one, the mark itself shows that.
      beforeStep: () => database.checkFile() === "replaced" && this.#mark.clear(),
    });
  }

  /** 16 hex digits. It may change with each commit. */
  get epoch(): string {
    return this.#identity.epoch;
  }

  /** `seq` of the newest published event; 0 before the first. */
  get headSeq(): number {
    return this.#headSeq;
  }

  get status(): JournalStatus {
    return { state: this.#state, oldestSeq: this.#oldestSeq, newestSeq: this.#newestSeq };
  }

  /** The database is in memory: it contains nothing from earlier daemons. */
  get isInMemory(): boolean {
    return this.#database.isInMemory;
  }

  /** Registers the event log, as {@linkcode Database.joinLog} describes. */
  joinLog(commitEvents: () => void): CommitPoint {
    return this.#database.joinLog(commitEvents);
  }

  /**
   * Writes a batch of events together with the changed rows of state. Does not throw for failures of the database: when the
   * batch cannot be written, a new {@linkcode EventJournal.epoch} begins with its first event.
   */
  commit(lines: Iterable<JournalLine>): void {
    const batch = [...lines];
    const headSeq = batch.at(-1)?.seq ?? this.#headSeq;
    if (this.#state === "on") {
      this.#batch = batch;
      const isWritten = this.#database.writeChanges({ including: this });
      this.#batch = [];
      if (!isWritten) this.#fail();
      this.#headSeq = headSeq;
    } else {
      this.#headSeq = headSeq;
      if (!this.#database.isRefused) this.#database.writeChanges();
    }
  }

  /**
   * Reads events after `afterSeq`, oldest first, or before `beforeSeq`, newest first: a bounded number, so that a call takes
   * about a millisecond. Empty when no more events exist (of that task), undefined when the database cannot be read.
   */
  read(options: ChunkOptions): StoredEvent[] | undefined {
    return this.#database.read((connection) => readEvents(connection, options), undefined);
  }

  /** The journal contains the event `seq` and every later one up to {@linkcode JournalStatus.newestSeq}. */
  covers(seq: number): boolean {
    return seq >= this.#oldestSeq && seq <= this.#newestSeq;
  }

  /** The last `seq` that an earlier epoch shares with the current one; undefined for an unknown epoch. */
  lastSharedSeq(epoch: string): number | undefined {
    return this.#identity.pastEpochs.get(epoch);
  }

  /** The last events that were published and never written; undefined when no event is missing. */
  get lastHole(): SeqRange | undefined {
    if (this.#headSeq > this.#newestSeq) return { first: this.#newestSeq + 1, last: this.#headSeq };
    return this.#holeBelowFloor;
  }

  /** The `seq` of the first event published at `timeMs` (since the Unix epoch) or later; one past the newest when none exists. */
  firstSeqAt(timeMs: number): number {
    return this.#database.read((connection) => firstSeqAt(connection, timeMs), this.#headSeq + 1);
  }

  /**
   * The `seq` to resume after in order to get everything that was published at `timeMs` or later. When some of that was
   * deleted or never written, it is early enough that the subscriber gets a gap record.
   */
  seqBefore(timeMs: number): number {
    const firstSeq = this.firstSeqAt(timeMs);
    if (firstSeq > this.#oldestSeq) return firstSeq - 1;
    const deletedMs = this.#database.read(lastDeletedMs, undefined);
    if (deletedMs !== undefined && deletedMs >= timeMs) return 0;
    // When the events of the hole were published is unknown.
    const hole = firstSeq === this.#identity.floorSeq ? this.#holeBelowFloor : undefined;
    return (hole?.first ?? firstSeq) - 1;
  }

  /** Records that this daemon ended in order. Call it before the database is closed. */
  [Symbol.dispose](): void {
    this.#retention?.[Symbol.dispose]();
    if (this.#state !== "on" || this.#identity.isClean) return;
    this.#identity = { ...this.#identity, isClean: true };
    this.#isIdentityChanged = true;
    this.#database.writeChanges({ including: this });
  }

  writeRows(connection: SqliteConnection): void {
    if (this.#canRecover) writeIdentity(connection, this.#recoveredIdentity());
    else if (this.#isIdentityChanged) writeIdentity(connection, this.#identity);
    if (this.#state !== "on") return;
    this.#lastTimeMs = Math.max(this.#lastTimeMs, this.#options.clock.now());
    insertEvents(connection, { lines: this.#batch, timeMs: this.#lastTimeMs });
  }

  rowsWritten(): void {
    if (this.#canRecover) this.#recovered();
    if (this.#isIdentityChanged && this.#state === "on" && this.#database.checkFile() !== "replaced") {
      this.#mark.set();
    }
    this.#isIdentityChanged = false;
    const last = this.#batch.at(-1);
    if (last === undefined || this.#state !== "on") return;
    this.#newestSeq = last.seq;
    this.#rowsSinceCheck += this.#batch.length;
    if (this.#rowsSinceCheck < CHECK_EVERY_ROWS) return;
    this.#rowsSinceCheck = 0;
    this.#retention?.checkSoon();
  }

  databaseReplaced(): void {
    const isKept = this.#state !== "off" && !this.#database.isInMemory;
    this.#newestSeq = this.#headSeq;
    this.#oldestSeq = this.#headSeq + 1;
    this.#changeEpoch({ floorSeq: this.#oldestSeq, isJournaled: isKept });
    if (!isKept) this.#mark.clear();
    if (this.#state !== "off") this.#state = isKept ? "on" : "failed";
  }

  /** Records on disk that this daemon has started: before its first event, and so that a power failure cannot undo it. */
  #begin(): void {
    if (this.#state !== "on") this.#mark.clear();
    if (this.#database.isInMemory) return;
    this.#isIdentityChanged = true;
    const isWritten = this.#database.writeChanges({ including: this, isDurable: true });
    if (!isWritten && this.#state === "on") this.#fail();
  }

  /** The database has logged why. */
  #fail(): void {
    this.#state = "failed";
    this.#changeEpoch({ isJournaled: false });
    this.#mark.clear();
    this.#database.changed(this);
    this.#options.logger.info(
      `events after number ${this.#headSeq} are not journaled; the event log continues in epoch ${this.epoch}`,
    );
  }

  /** It failed, and resumes as soon as the database is written. */
  get #canRecover(): boolean {
    return this.#state === "failed" && !this.#database.isInMemory;
  }

  /** The identity after recovery: the journal continues after the hole. */
  #recoveredIdentity(): JournalIdentity {
    return { ...this.#identity, isJournaled: true, floorSeq: this.#headSeq + 1 };
  }

  #recovered(): void {
    this.#identity = this.#recoveredIdentity();
    this.#oldestSeq = this.#identity.floorSeq;
    this.#newestSeq = this.#headSeq;
    this.#state = "on";
    this.#isIdentityChanged = true;
    this.#options.logger.info(`events are journaled again, from number ${this.#oldestSeq} on`);
  }

  #changeEpoch(changes: Pick<JournalIdentity, "isJournaled"> & Partial<JournalIdentity>): void {
    const pastEpochs = withPastEpoch(this.#identity.pastEpochs, [this.epoch, this.#headSeq]);
    this.#identity = { ...this.#identity, pastEpochs, ...changes, epoch: newEpoch() };
    this.#isIdentityChanged = true;
  }

  #oldestDeleted(): void {
    const range = this.#database.read(eventRange, undefined);
    this.#oldestSeq = Math.max(this.#oldestSeq, range?.oldest ?? this.#newestSeq + 1);
  }

  get #holeBelowFloor(): SeqRange | undefined {
    const last = this.#identity.floorSeq - 1;
    const before = this.#database.read((connection) => newestBefore(connection, last + 1), undefined) ?? 0;
    return before < last ? { first: before + 1, last } : undefined;
  }
}
