import type { Database, RowWriter } from "../database.ts";
import type { SqliteConnection } from "../sqlite_connection.ts";

/** Identifies an event of an engine: engines do not number their events. */
export interface SeenEngineEvent {
  /** The engine's time in nanoseconds since the Unix epoch, rounded to a double. */
  readonly timeNano: number;
  readonly containerId: string;
  readonly action: string;
}

/** Twice what a connection replays at most (`follow_memory.ts`): no older event can come again. */
const KEPT_NANO = 8e9;
/** Events noted between two prunings. */
const PRUNE_EVERY = 256;
/** Rows deleted at once. */
const PRUNE_STEP = 400;
/** Enough for all of {@linkcode KEPT_NANO} at 2,000 events a second. */
const MAX_UNWRITTEN = 16_384;

const INSERT = `
  INSERT OR IGNORE INTO engine_events (engine_id, time_nano, container_id, action) VALUES (?, ?, ?, ?)`;

const RECENT = `
  SELECT * FROM engine_events WHERE engine_id = :engine
    AND time_nano >= (SELECT max(time_nano) FROM engine_events WHERE engine_id = :engine) - :kept
  ORDER BY time_nano`;

const PRUNE = `
  DELETE FROM engine_events WHERE (engine_id, time_nano, container_id, action) IN (
    SELECT engine_id, time_nano, container_id, action FROM engine_events
    WHERE engine_id = :engine AND time_nano < :before LIMIT :step)`;

/**
 * The recent engine events that apex has processed, so that a restarted daemon recognizes them when the engine repeats them.
 * An event is noted in the block that processes it. Its row is committed with the events and rows that it caused.
 */
export class EngineEventStore implements RowWriter {
  readonly #database: Database;
  #unwritten: (SeenEngineEvent & { readonly engineId: string })[] = [];
  /** By engine, the time of the newest event that this process has noted. */
  readonly #newestNano = new Map<string, number>();
  #notedSincePrune = 0;

  constructor(database: Database) {
    this.#database = database;
    database.join(this);
  }

  /** Notes an event that was processed. */
  note(engineId: string, { timeNano, containerId, action }: SeenEngineEvent): void {
    this.#unwritten.push({ engineId, timeNano, containerId, action });
    // Dropping the oldest is harmless: while nothing can be written, no restart can resume from here.
    if (this.#unwritten.length > MAX_UNWRITTEN) this.#unwritten = this.#unwritten.slice(MAX_UNWRITTEN / 2);
    this.#newestNano.set(engineId, Math.max(timeNano, this.#newestNano.get(engineId) ?? 0));
    this.#notedSincePrune++;
    this.#database.changed(this, { isRepeatable: true });
  }

  /** The newest events that were processed, oldest first, including those of earlier processes. All older events were processed too. */
  recent(engineId: string): SeenEngineEvent[] {
    this.#database.flush();
    return this.#database.read(
      (connection) =>
        connection.rows(RECENT, { engine: engineId, kept: KEPT_NANO }).map((row) => ({
          timeNano: Number(row.time_nano),
          containerId: String(row.container_id),
          action: String(row.action),
        })),
      [],
    );
  }

  writeRows(connection: SqliteConnection): void {
    const insert = connection.prepared(INSERT);
    for (const { engineId, timeNano, containerId, action } of this.#unwritten) {
      insert(engineId, timeNano, containerId, action);
    }
    if (this.#notedSincePrune < PRUNE_EVERY) return;
    for (const [engine, newestNano] of this.#newestNano) {
      connection.run(PRUNE, { engine, before: newestNano - KEPT_NANO, step: PRUNE_STEP });
    }
  }

  rowsWritten(): void {
    this.#unwritten = [];
    if (this.#notedSincePrune >= PRUNE_EVERY) this.#notedSincePrune = 0;
  }
}
