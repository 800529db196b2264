import type { Clock } from "../../platform/clock.ts";
import type { Database } from "../database.ts";
import type { FileChange } from "../open_database.ts";
import { deleteOldest } from "./event_rows.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const MIB = 1024 * 1024;

/** How long what was told is kept. */
export interface RetentionLimits {
  /** 7 days by default. */
  readonly maxAgeMs?: number;
  /** Of the database in use but for the output of tasks, 256 MiB by default; the oldest events go first. */
  readonly maxBytes?: number;
}

/** Rows deleted at once: half a millisecond, but for a checkpoint's fsync. */
const STEP_ROWS = 100;
/** Between two steps: 20,000 rows a second, which is more than anybody publishes for long. */
const STEP_PAUSE_MS = 5;
/** Between two looks at how much there is, when nobody publishes. */
const LOOK_EVERY_MS = 60_000;
/** Free pages given back to the file system in a step. */
const VACUUM_STEP_PAGES = 100;
/** Free pages that stay for what comes next. */
const SPARE_PAGES = 512;

const VACUUM = `PRAGMA incremental_vacuum(${VACUUM_STEP_PAGES})`;

/** Forgets the oldest events, a few at a time between the turns of the event loop. */
export class JournalRetention implements Disposable {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #maxBytes: number;
  readonly #exemptBytes: () => number;
  readonly #onDeleted: () => void;
  readonly #onFileChanged: (change: FileChange) => void;
  #cancelStep: () => void;
  #isSoon = true;

  /**
   * @param options.exemptBytes what of the database has a limit of its own
   * @param options.onDeleted rows are gone
   * @param options.onFileChanged the file is not the one that was opened; called at each look
   */
  constructor(
    options: {
      database: Database;
      clock: Clock;
      limits: RetentionLimits;
      exemptBytes: () => number;
      onDeleted: () => void;
      onFileChanged: (change: FileChange) => void;
    },
  ) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#maxAgeMs = options.limits.maxAgeMs ?? 7 * DAY_MS;
    this.#maxBytes = options.limits.maxBytes ?? 256 * MIB;
    this.#exemptBytes = options.exemptBytes;
    this.#onDeleted = options.onDeleted;
    this.#onFileChanged = options.onFileChanged;
    this.#cancelStep = this.#clock.after(STEP_PAUSE_MS, this.#step);
  }

  /** Looks soon: much was written. */
  lookSoon(): void {
    if (!this.#isSoon) this.#next(STEP_PAUSE_MS);
  }

  [Symbol.dispose](): void {
    this.#cancelStep();
  }

  readonly #step = (): void => {
    const change = this.#database.checkFile();
    if (change !== undefined) this.#onFileChanged(change);
    const hasMore = !this.#database.isRefused && (this.#deleteSome() || this.#vacuumSome());
    this.#next(hasMore ? STEP_PAUSE_MS : LOOK_EVERY_MS);
  };

  #next(delayMs: number): void {
    this.#cancelStep();
    this.#isSoon = delayMs === STEP_PAUSE_MS;
    this.#cancelStep = this.#clock.after(delayMs, this.#step);
  }

  /** True when there may be more to delete. */
  #deleteSome(): boolean {
    const { usedBytes } = this.#pages();
    const isTooMuch = usedBytes - this.#exemptBytes() > this.#maxBytes;
    const beforeMs = isTooMuch ? Infinity : this.#clock.now() - this.#maxAgeMs;
    let deleted = 0;
    this.#database.write((connection) => {
      deleted = deleteOldest(connection, { maxRows: STEP_ROWS, beforeMs });
    });
    if (deleted > 0) this.#onDeleted();
    return deleted === STEP_ROWS;
  }

  /** True when there may be more to give back. */
  #vacuumSome(): boolean {
    const { free } = this.#pages();
    if (free <= SPARE_PAGES) return false;
    this.#database.read((connection) => connection.rows(VACUUM), []);
    return this.#pages().free < free;
  }

  #pages(): { free: number; usedBytes: number } {
    return this.#database.read((connection) => {
      const pragma = (name: string): number => Number(connection.rows(`PRAGMA ${name}`)[0]?.[name] ?? 0);
      const free = pragma("freelist_count");
      return { free, usedBytes: (pragma("page_count") - free) * pragma("page_size") };
    }, { free: 0, usedBytes: 0 });
  }
}
