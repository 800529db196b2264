import type { Clock } from "../platform/clock.ts";
import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection } from "./sqlite_connection.ts";
import { RowMapping } from "./table.ts";

/** The row of a container, as far as its changes are published. Times are the engine's, in nanoseconds since the Unix epoch. */
export interface StoredContainer {
  /** The engine's full id. */
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `removed`: remembered for events that may still follow. */
  readonly state: string;
  readonly health?: string;
  readonly exitCode?: number;
  readonly createdAtNano?: number;
  readonly startedAtNano?: number;
  readonly finishedAtNano?: number;
  /** Whatever else the caller needs to continue; plain JSON. */
  readonly details: unknown;
}

/** The row of an engine. */
export interface StoredEngine {
  /** Stable across restarts of the engine. */
  readonly engineId: string;
  /** The engine's time in nanoseconds: events from then on are published. */
  readonly baselineNano: number;
}

/** Engines that are remembered, including the followed one. The engine that was followed longest ago is forgotten. */
const MAX_ENGINES = 8;

const CONTAINERS = new RowMapping<StoredContainer>({
  table: "containers",
  key: ["engine_id", "container_id"],
  columns: {
    id: ["container_id", "text"],
    name: ["name", "text"],
    image: ["image", "text"],
    labels: ["labels", "json"],
    state: ["state", "text"],
    health: ["health", "text"],
    exitCode: ["exit_code", "number"],
    createdAtNano: ["created_nano", "number"],
    startedAtNano: ["started_nano", "number"],
    finishedAtNano: ["finished_nano", "number"],
    details: ["details", "json"],
  },
});

const DELETE_ALL = "DELETE FROM containers WHERE engine_id = :engine_id";

const UPSERT_ENGINE = `
  INSERT OR REPLACE INTO engines (engine_id, baseline_nano, followed_ms)
  VALUES (:engine_id, :baseline_nano, :followed_ms)`;

const OLD_ENGINES = "SELECT engine_id FROM engines ORDER BY followed_ms DESC LIMIT -1 OFFSET :kept";

/**
 * The containers of the followed engine, and those of engines that were followed before. The engine repeats its events after
 * a crash of the daemon, so rows wait for the end of the turn, and are committed with the events that are about them. Each row
 * contains the container's state at the time of the commit, so a turn writes one row for any number of changes.
 */
export class ContainerStore implements RowWriter {
  readonly #database: Database;
  readonly #clock: Clock;
  #engine: StoredEngine | undefined;
  /** By id, the function that creates the row of each container of the followed engine. */
  readonly #rows = new Map<string, () => StoredContainer>();
  /** Containers whose row on disk is outdated. */
  readonly #unwritten = new Set<string>();
  #isEngineUnwritten = false;
  /** The rows on disk are those of an earlier engine with this id. */
  #isOutdated = false;

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
    database.join(this);
  }

  /** Undefined for an engine that was never followed, or is forgotten. */
  engine(engineId: string): StoredEngine | undefined {
    this.#database.flush();
    const sql = "SELECT baseline_nano FROM engines WHERE engine_id = :engine";
    const [row] = this.#database.read((connection) => connection.rows(sql, { engine: engineId }), []);
    return row === undefined ? undefined : { engineId, baselineNano: Number(row.baseline_nano) };
  }

  /** The containers of one engine, including removed ones, in the order in which apex first saw them. */
  ofEngine(engineId: string): StoredContainer[] {
    this.#database.flush();
    const sql = "SELECT * FROM containers WHERE engine_id = :engine ORDER BY number";
    return this.#database.read(
      (connection) => connection.rows(sql, { engine: engineId }).map((row) => CONTAINERS.fromSql(row)),
      [],
    );
  }

  /** Stores the containers of this engine from now on. @param options.isNew delete the rows that exist for it */
  follow(engine: StoredEngine, options: { readonly isNew: boolean }): void {
    this.#database.flush();
    this.#engine = engine;
    this.#rows.clear();
    this.#unwritten.clear();
    this.#isEngineUnwritten = true;
    this.#isOutdated = options.isNew;
    this.#database.changed(this);
  }

  /** @param row called each time the row is written; returns the container's current state */
  save(containerId: string, row: () => StoredContainer): void {
    this.keep(containerId, row);
    this.#changed(containerId);
  }

  /** Like {@linkcode ContainerStore.save} for a container whose row on disk is current. */
  keep(containerId: string, row: () => StoredContainer): void {
    this.#rows.set(containerId, row);
  }

  remove(containerId: string): void {
    if (this.#rows.delete(containerId)) this.#changed(containerId);
  }

  writeRows(connection: SqliteConnection): void {
    if (this.#engine === undefined) return;
    const { engineId, baselineNano } = this.#engine;
    if (this.#isOutdated) connection.run(DELETE_ALL, { engine_id: engineId });
    if (this.#isEngineUnwritten) {
      connection.run(UPSERT_ENGINE, {
        engine_id: engineId,
        baseline_nano: baselineNano,
        followed_ms: this.#clock.now(),
      });
      forgetOldEngines(connection);
    }
    for (const id of this.#unwritten) {
      const row = this.#rows.get(id)?.();
      if (row === undefined) connection.run(CONTAINERS.delete, { engine_id: engineId, container_id: id });
      else connection.run(CONTAINERS.upsert, { engine_id: engineId, ...CONTAINERS.toSql(row) });
    }
  }

  rowsWritten(): void {
    this.#unwritten.clear();
    this.#isEngineUnwritten = this.#isOutdated = false;
  }

  databaseReplaced(): void {
    for (const id of this.#rows.keys()) this.#unwritten.add(id);
    this.#isEngineUnwritten = this.#engine !== undefined;
  }

  #changed(containerId: string): void {
    this.#unwritten.add(containerId);
    this.#database.changed(this, { isRepeatable: true });
  }
}

function forgetOldEngines(connection: SqliteConnection): void {
  for (const { engine_id } of connection.rows(OLD_ENGINES, { kept: MAX_ENGINES })) {
    if (engine_id === undefined) continue;
    connection.run(DELETE_ALL, { engine_id });
    connection.run("DELETE FROM engines WHERE engine_id = :engine_id", { engine_id });
  }
}

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
