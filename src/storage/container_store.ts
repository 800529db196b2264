import type { Clock } from "../platform/clock.ts";
import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection, SqlRow } from "./sqlite_connection.ts";

/** Engines whose containers are remembered, the followed one included; of more, the longest not followed is forgotten. */
const MAX_ENGINES = 8;

const UPSERT = `
  INSERT INTO containers (engine_id, container_id, name, image, labels, state, health, exit_code, created_nano,
    started_nano, finished_nano, details)
  VALUES (:engine_id, :container_id, :name, :image, :labels, :state, :health, :exit_code, :created_nano,
    :started_nano, :finished_nano, :details)
  ON CONFLICT (engine_id, container_id) DO UPDATE SET name = excluded.name, state = excluded.state,
    health = excluded.health, exit_code = excluded.exit_code, created_nano = excluded.created_nano,
    started_nano = excluded.started_nano, finished_nano = excluded.finished_nano, details = excluded.details`;

const DELETE = "DELETE FROM containers WHERE engine_id = :engine_id AND container_id = :container_id";

const DELETE_ALL = "DELETE FROM containers WHERE engine_id = :engine_id";

const UPSERT_ENGINE = `
  INSERT OR REPLACE INTO engines (engine_id, baseline_nano, followed_ms)
  VALUES (:engine_id, :baseline_nano, :followed_ms)`;

const OLD_ENGINES = "SELECT engine_id FROM engines ORDER BY followed_ms DESC LIMIT -1 OFFSET :kept";

/** An engine as its row holds it. */
export interface StoredEngine {
  /** Stable over restarts of the engine. */
  readonly engineId: string;
  /** Its own time, ns, from which on its events are news. */
  readonly baselineNano: number;
}

/**
 * The containers of the followed engine, as far as they have been told of, and those of engines that were followed before.
 * A row changes in the block in which the change is told, and is written in the transaction of that event. What is written
 * is what the container is at the block's end, so many changes in one block cost one row.
 */
export class ContainerStore implements RowWriter {
  readonly #database: Database;
  readonly #clock: Clock;
  #engine: StoredEngine | undefined;
  /** Makes the row of each container of the followed engine. */
  #rows = new Map<string, () => StoredContainer>();
  /** Containers whose row on disk is not what it should be. */
  readonly #unwritten = new Set<string>();
  #isEngineUnwritten = false;
  /** The containers on disk are not those to go on from. */
  #isOutdated = false;

  constructor({ database, clock }: { database: Database; clock: Clock }) {
    this.#database = database;
    this.#clock = clock;
    database.join(this);
  }

  /** Undefined for an engine that was never followed, or is forgotten. */
  engine(engineId: string): StoredEngine | undefined {
    this.#database.flush();
    const [row] = this.#database.read(
      (connection) =>
        connection.rows("SELECT baseline_nano FROM engines WHERE engine_id = :engine", { engine: engineId }),
      [],
    );
    return row === undefined ? undefined : { engineId, baselineNano: Number(row.baseline_nano) };
  }

  /** Those of one engine, removed ones too, in the order in which they became known. */
  ofEngine(engineId: string): StoredContainer[] {
    this.#database.flush();
    return this.#database.read(
      (connection) =>
        connection.rows("SELECT * FROM containers WHERE engine_id = :engine ORDER BY number", {
          engine: engineId,
        }).map(readContainer),
      [],
    );
  }

  /** That engine is followed from here on. @param options.isNew what is known of its containers counts no more */
  follow(engine: StoredEngine, options: { readonly isNew: boolean }): void {
    this.#database.flush();
    this.#engine = engine;
    this.#rows.clear();
    this.#unwritten.clear();
    this.#isEngineUnwritten = true;
    this.#isOutdated = options.isNew;
    this.#database.changed(this);
  }

  /** @param row called when it is written, again and again, with what the container then is */
  save(containerId: string, row: () => StoredContainer): void {
    this.#rows.set(containerId, row);
    this.#unwritten.add(containerId);
    this.#database.changed(this, { isRepeatable: true });
  }

  /** The row is as {@linkcode ContainerStore.ofEngine} told it: `row` is for later. */
  keep(containerId: string, row: () => StoredContainer): void {
    this.#rows.set(containerId, row);
  }

  remove(containerId: string): void {
    if (!this.#rows.delete(containerId)) return;
    this.#unwritten.add(containerId);
    this.#database.changed(this, { isRepeatable: true });
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    if (this.#engine === undefined) return;
    const { engineId, baselineNano } = this.#engine;
    if (this.#isOutdated) connection.run(DELETE_ALL, { engine_id: engineId });
    if (this.#isEngineUnwritten) {
      const followedMs = this.#clock.now();
      connection.run(UPSERT_ENGINE, {
        engine_id: engineId,
        baseline_nano: baselineNano,
        followed_ms: followedMs,
      });
      forgetOldEngines(connection);
    }
    for (const id of this.#unwritten) {
      const row = this.#rows.get(id)?.();
      if (row === undefined) connection.run(DELETE, { engine_id: engineId, container_id: id });
      else connection.run(UPSERT, { engine_id: engineId, ...parametersOf(row) });
    }
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten.clear();
    this.#isEngineUnwritten = this.#isOutdated = false;
  }

  /** For the database. */
  databaseReplaced(): void {
    for (const id of this.#rows.keys()) this.#unwritten.add(id);
    this.#isEngineUnwritten = this.#engine !== undefined;
  }
}

function forgetOldEngines(connection: SqliteConnection): void {
  for (const { engine_id } of connection.rows(OLD_ENGINES, { kept: MAX_ENGINES })) {
    if (engine_id === undefined) continue;
    connection.run(DELETE_ALL, { engine_id });
    connection.run("DELETE FROM engines WHERE engine_id = :engine_id", { engine_id });
  }
}

function parametersOf(container: StoredContainer): SqlRow {
  return {
    container_id: container.id,
    name: container.name,
    image: container.image,
    labels: JSON.stringify(container.labels),
    state: container.state,
    health: container.health ?? null,
    exit_code: container.exitCode ?? null,
    created_nano: container.createdAtNano ?? null,
    started_nano: container.startedAtNano ?? null,
    finished_nano: container.finishedAtNano ?? null,
    details: JSON.stringify(container.details),
  };
}

function readContainer(row: SqlRow): StoredContainer {
  const nano = (column: string): number | undefined =>
    typeof row[column] === "number" ? row[column] : undefined;
  const exitCode = nano("exit_code");
  const createdAtNano = nano("created_nano");
  const startedAtNano = nano("started_nano");
  const finishedAtNano = nano("finished_nano");
  return {
    id: String(row.container_id),
    name: String(row.name),
    image: String(row.image),
    labels: JSON.parse(String(row.labels)),
    state: String(row.state),
    ...(typeof row.health === "string" && { health: row.health }),
    ...(exitCode !== undefined && { exitCode }),
    ...(createdAtNano !== undefined && { createdAtNano }),
    ...(startedAtNano !== undefined && { startedAtNano }),
    ...(finishedAtNano !== undefined && { finishedAtNano }),
    details: JSON.parse(String(row.details)),
  };
}

/** One container as its row holds it: as far as it has been told of. Times are the engine's, ns since the Unix epoch. */
export interface StoredContainer {
  /** The engine's full id. */
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `removed`: remembered for events that may follow. */
  readonly state: string;
  readonly health?: string;
  readonly exitCode?: number;
  readonly createdAtNano?: number;
  readonly startedAtNano?: number;
  readonly finishedAtNano?: number;
  /** Whatever else is needed to go on from here; plain JSON, and its writer's affair. */
  readonly details: unknown;
}
