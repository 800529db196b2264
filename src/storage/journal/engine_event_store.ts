import type { Database, RowWriter } from "../database.ts";
import type { SqliteConnection } from "../sqlite_connection.ts";

/** What tells an engine's events apart: engines give them no number. */
export interface SeenEngineEvent {
  /** The engine's own time, in nanoseconds since the Unix epoch (as far as a double resolves it). */
  readonly timeNano: number;
  readonly containerId: string;
  readonly action: string;
}

/** Twice what following replays at most (`follow_memory.ts`): no older event can come again. */
const KEPT_NANO = 8e9;

/** Events noted between two removals of old ones. */
const PRUNE_EVERY = 256;
/** Rows removed at once. */
const PRUNE_STEP = 400;
/** Of one engine. At 2,000 events a second all of {@linkcode KEPT_NANO} is kept. */
const MAX_UNWRITTEN = 16_384;

const INSERT = `
  INSERT OR IGNORE INTO engine_events (engine_id, time_nano, container_id, action) VALUES (?, ?, ?, ?)`;

const PRUNE = `
  DELETE FROM engine_events WHERE (engine_id, time_nano, container_id, action) IN (
    SELECT engine_id, time_nano, container_id, action FROM engine_events
    WHERE engine_id = :engine AND time_nano < :before LIMIT :step)`;

/**
 * Which events of an engine apex has dealt with, as far as the engine may repeat them. Noted in the block that deals with
 * one, so that they are committed with what it caused: after a restart the replay is told from news.
 */
export class EngineEventStore implements RowWriter {
  readonly #database: Database;
  #unwritten: { readonly engineId: string; readonly event: SeenEngineEvent }[] = [];
  /** Newest time noted, by engine; from this life only. */
  readonly #newestNano = new Map<string, number>();
  #notedSincePrune = 0;

  constructor({ database }: { database: Database }) {
    this.#database = database;
    database.join(this);
  }

  /** Notes an event that has been dealt with. */
  note(engineId: string, { timeNano, containerId, action }: SeenEngineEvent): void {
    this.#unwritten.push({ engineId, event: { timeNano, containerId, action } });
    // The oldest go: while nothing is written, there is nothing to resume either.
    if (this.#unwritten.length > MAX_UNWRITTEN) this.#unwritten = this.#unwritten.slice(MAX_UNWRITTEN / 2);
    this.#newestNano.set(engineId, Math.max(timeNano, this.#newestNano.get(engineId) ?? 0));
    this.#notedSincePrune++;
    this.#database.changed(this, { isRepeatable: true });
  }

  /** The newest events of that engine that are known from earlier lives and this one, oldest first; what is older is known too. */
  recent(engineId: string): SeenEngineEvent[] {
    this.#database.flush();
    const newestNano = this.#lastTimeNano(engineId);
    if (newestNano === undefined) return [];
    return this.#database.read(
      (connection) =>
        connection.rows(
          "SELECT * FROM engine_events WHERE engine_id = :engine AND time_nano >= :from ORDER BY time_nano",
          { engine: engineId, from: newestNano - KEPT_NANO },
        ).map((row) => ({
          timeNano: Number(row.time_nano),
          containerId: String(row.container_id),
          action: String(row.action),
        })),
      [],
    );
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    const insert = connection.prepared(INSERT);
    for (const { engineId, event } of this.#unwritten) {
      insert(engineId, event.timeNano, event.containerId, event.action);
    }
    if (this.#notedSincePrune < PRUNE_EVERY) return;
    for (const [engine, newestNano] of this.#newestNano) {
      connection.run(PRUNE, { engine, before: newestNano - KEPT_NANO, step: PRUNE_STEP });
    }
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten = [];
    if (this.#notedSincePrune >= PRUNE_EVERY) this.#notedSincePrune = 0;
  }

  /** For the database: the journal begins anew, and so does what is known of engines. */
  databaseReplaced(): void {}

  #lastTimeNano(engineId: string): number | undefined {
    const [row] = this.#database.read(
      (connection) =>
        connection.rows("SELECT max(time_nano) AS newest FROM engine_events WHERE engine_id = :engine", {
          engine: engineId,
        }),
      [],
    );
    return row === undefined || row.newest === null ? undefined : Number(row.newest);
  }
}
