import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection, SqlRow } from "./sqlite_connection.ts";

const UPSERT = `
  INSERT OR REPLACE INTO sessions (container_id, name, engine_id, state, is_attached, image, terminal_columns,
    terminal_rows, created_ms, last_attached_ms, expires_ms, recent_output)
  VALUES (:container_id, :name, :engine_id, :state, :is_attached, :image, :terminal_columns, :terminal_rows,
    :created_ms, :last_attached_ms, :expires_ms, :recent_output)`;

const DELETE = "DELETE FROM sessions WHERE container_id = :container_id";

/**
 * The sessions' rows. They are few, so all of them are in memory as well, and that is what is told; what cannot be
 * written (a full disk) is written as soon as that works again. Every call is synchronous: a session's row changes in the
 * block in which its event is told, and is written in that event's transaction.
 */
export class SessionStore implements RowWriter {
  readonly #database: Database;
  readonly #rows = new Map<string, StoredSession>();
  /** Containers whose row on disk is not what it should be. */
  readonly #unwritten = new Set<string>();

  constructor({ database }: { database: Database }) {
    this.#database = database;
    database.join(this);
    const rows = database.read(
      (connection) => connection.rows("SELECT * FROM sessions ORDER BY created_ms").map(readSession),
      [],
    );
    for (const row of rows) this.#rows.set(row.containerId, row);
  }

  /** Those of one engine, in the order of their creation. */
  ofEngine(engineId: string): StoredSession[] {
    return [...this.#rows.values()].filter((row) => row.engineId === engineId);
  }

  save(session: StoredSession): void {
    this.#rows.set(session.containerId, session);
    this.#changed(session.containerId);
  }

  /** Does nothing when there is none. */
  remove(containerId: string): void {
    if (this.#rows.delete(containerId)) this.#changed(containerId);
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    for (const id of this.#unwritten) {
      const row = this.#rows.get(id);
      if (row === undefined) connection.run(DELETE, { container_id: id });
      else connection.run(UPSERT, parametersOf(row));
    }
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten.clear();
  }

  /** For the database. */
  databaseReplaced(): void {
    for (const id of this.#rows.keys()) this.#unwritten.add(id);
  }

  #changed(containerId: string): void {
    this.#unwritten.add(containerId);
    this.#database.changed(this);
  }
}

function parametersOf(session: StoredSession): SqlRow {
  return {
    container_id: session.containerId,
    name: session.name,
    engine_id: session.engineId,
    state: session.state,
    is_attached: session.isAttached ? 1 : 0,
    image: session.image,
    terminal_columns: session.columns,
    terminal_rows: session.rows,
    created_ms: session.createdAtMs,
    last_attached_ms: session.lastAttachedAtMs ?? null,
    expires_ms: session.expiresAtMs ?? null,
    recent_output: session.recentOutput ?? null,
  };
}

function readSession(row: SqlRow): StoredSession {
  return {
    containerId: String(row.container_id),
    name: String(row.name),
    engineId: String(row.engine_id),
    state: String(row.state) as StoredSessionState,
    isAttached: row.is_attached === 1,
    image: String(row.image),
    columns: Number(row.terminal_columns),
    rows: Number(row.terminal_rows),
    createdAtMs: Number(row.created_ms),
    ...(row.last_attached_ms !== null && { lastAttachedAtMs: Number(row.last_attached_ms) }),
    ...(row.expires_ms !== null && { expiresAtMs: Number(row.expires_ms) }),
    ...(row.recent_output instanceof Uint8Array && { recentOutput: row.recent_output }),
  };
}

/** One session as its row holds it: times in milliseconds since the Unix epoch. Its identity is its container. */
export interface StoredSession {
  readonly containerId: string;
  readonly name: string;
  /** The engine that has the container: what another engine lacks is no news. */
  readonly engineId: string;
  /** `starting`: nobody was told of it yet; `living`; `ended`: its end was told, its container is still to be removed. */
  readonly state: StoredSessionState;
  /** A client was attached when the row was written. */
  readonly isAttached: boolean;
  readonly image: string;
  /** Of its terminal, as the last client had it. */
  readonly columns: number;
  readonly rows: number;
  readonly createdAtMs: number;
  readonly lastAttachedAtMs?: number;
  readonly expiresAtMs?: number;
  /** The last that its terminal said, which its engine may not have logged yet. */
  readonly recentOutput?: Uint8Array;
}

export type StoredSessionState = "starting" | "living" | "ended";
