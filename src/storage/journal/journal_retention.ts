import type { Clock } from "../../platform/clock.ts";
import type { Database } from "../database.ts";
import { deleteOldest } from "./event_rows.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const MIB = 1024 * 1024;

/** Limits for the journal. The oldest events are deleted first. */
export interface RetentionLimits {
  /** 7 days by default. */
  readonly maxAgeMs?: number;
  /** Limit for the used part of the database without the output of tasks; 256 MiB by default. */
  readonly maxBytes?: number;
}

export interface JournalRetentionOptions extends RetentionLimits {
  readonly database: Database;
  readonly clock: Clock;
  /** Bytes of the database that have a limit of their own. */
  readonly exemptBytes: () => number;
  /** Rows were deleted. */
  readonly onDeleted: () => void;
  /** Called before each step. */
  readonly beforeStep: () => unknown;
}

/** Rows deleted in one step: half a millisecond, except when SQLite makes a checkpoint. */
const STEP_ROWS = 100;
/** Pause between two steps. It allows 20,000 rows a second, more than any engine publishes for long. */
const STEP_PAUSE_MS = 5;
/** Time between two checks when few events are published. */
const CHECK_EVERY_MS = 60_000;
/** Free pages given back to the file system in one step. */
const VACUUM = "PRAGMA incremental_vacuum(100)";
/** Free pages that stay in the file for new rows. */
const SPARE_PAGES = 512;

/** Deletes the oldest events, a few at a time between the turns of the event loop. */
export class JournalRetention implements Disposable {
  readonly #options: JournalRetentionOptions;
  readonly #maxAgeMs: number;
  readonly #maxBytes: number;
  #cancelStep: () => void;
  #isSoon = true;

  constructor(options: JournalRetentionOptions) {
    this.#options = options;
    this.#maxAgeMs = options.maxAgeMs ?? 7 * DAY_MS;
    this.#maxBytes = options.maxBytes ?? 256 * MIB;
    this.#cancelStep = options.clock.after(STEP_PAUSE_MS, this.#step);
  }

  /** Checks soon, because many rows were written. */
  checkSoon(): void {
    if (!this.#isSoon) this.#schedule(STEP_PAUSE_MS);
  }

  [Symbol.dispose](): void {
    this.#cancelStep();
  }

  readonly #step = (): void => {
    const { database, beforeStep } = this.#options;
    beforeStep();
    const hasMore = !database.isRefused && (this.#deleteSome() || this.#vacuumSome());
    this.#schedule(hasMore ? STEP_PAUSE_MS : CHECK_EVERY_MS);
  };

  #schedule(delayMs: number): void {
    this.#cancelStep();
    this.#isSoon = delayMs === STEP_PAUSE_MS;
    this.#cancelStep = this.#options.clock.after(delayMs, this.#step);
  }

  /** Returns true when there may be more to delete. */
  #deleteSome(): boolean {
    const { database, clock, exemptBytes, onDeleted } = this.#options;
    const { bytes, freeBytes } = database.pages();
    const isTooMuch = bytes - freeBytes - exemptBytes() > this.#maxBytes;
    const beforeMs = isTooMuch ? Infinity : clock.now() - this.#maxAgeMs;
    let deleted = 0;
    database.write((connection) => {
      deleted = deleteOldest(connection, { maxRows: STEP_ROWS, beforeMs });
    });
    if (deleted > 0) onDeleted();
    return deleted === STEP_ROWS;
  }

  /** Returns true when there may be more to give back. */
  #vacuumSome(): boolean {
    const { database } = this.#options;
    const { freePages } = database.pages();
    if (freePages <= SPARE_PAGES) return false;
    database.read((connection) => connection.rows(VACUUM), []);
    return database.pages().freePages < freePages;
  }
}
