import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection } from "./sqlite_connection.ts";

/**
 * The containers that their tasks were to leave behind, by id: the tasks themselves may be forgotten, or their ids used
 * again. Every call is synchronous, and what it changes is written in the transaction of its block.
 */
export class KeptContainers implements RowWriter {
  readonly #database: Database;
  readonly #ids: Set<string>;
  /** Those whose row on disk is not what it should be. */
  readonly #unwritten = new Set<string>();

  constructor({ database }: { database: Database }) {
    this.#database = database;
    database.join(this);
    const rows = database.read(
      (connection) => connection.rows("SELECT container_id FROM kept_containers"),
      [],
    );
    this.#ids = new Set(rows.map((row) => String(row.container_id)));
  }

  has(containerId: string): boolean {
    return this.#ids.has(containerId);
  }

  add(containerId: string): void {
    if (this.#ids.has(containerId)) return;
    this.#ids.add(containerId);
    this.#changed(containerId);
  }

  /** It is gone. Does nothing for one that was not kept. */
  remove(containerId: string): void {
    if (this.#ids.delete(containerId)) this.#changed(containerId);
  }

  /** For the database. */
  writeRows(connection: SqliteConnection): void {
    for (const id of this.#unwritten) {
      const sql = this.#ids.has(id)
        ? "INSERT OR IGNORE INTO kept_containers (container_id) VALUES (:id)"
        : "DELETE FROM kept_containers WHERE container_id = :id";
      connection.run(sql, { id });
    }
  }

  /** For the database. */
  rowsWritten(): void {
    this.#unwritten.clear();
  }

  /** For the database. */
  databaseBegun(): void {
    for (const id of this.#ids) this.#unwritten.add(id);
  }

  #changed(containerId: string): void {
    this.#unwritten.add(containerId);
    this.#database.changed(this);
  }
}
