import type { Database, RowWriter } from "./database.ts";
import type { SqliteConnection, SqlRow, SqlValue } from "./sqlite_connection.ts";

/** How a field is stored. `flag`: a boolean as 0 or 1. `json`: any JSON value as text. A missing field is NULL. */
export type ColumnKind = "text" | "number" | "flag" | "json" | "bytes";

/** For each field of a row object, the name of its column and how it is stored. */
export type Columns<Row> = { readonly [Field in keyof Row]-?: readonly [name: string, kind: ColumnKind] };

/** Converts between the objects of a store and the rows of its table. */
export class RowMapping<Row extends object> {
  /** Inserts a row, or updates the one with the same key. */
  readonly upsert: string;
  readonly delete: string;
  readonly #columns: [field: string, name: string, kind: ColumnKind][];

  /** @param options.key columns of the key. Those without a field are parameters that the caller adds. */
  constructor({ table, key, columns }: { table: string; key: readonly string[]; columns: Columns<Row> }) {
    this.#columns = Object.entries<Columns<Row>[keyof Row]>(columns)
      .map(([field, [name, kind]]) => [field, name, kind]);
    const others = this.#columns.map(([, name]) => name).filter((name) => !key.includes(name));
    const names = [...key, ...others];
    const update = others.length === 0
      ? "NOTHING"
      : `UPDATE SET ${others.map((name) => `${name} = excluded.${name}`).join(", ")}`;
    this.upsert = `INSERT INTO ${table} (${names.join(", ")})
      VALUES (${names.map((name) => `:${name}`).join(", ")})
      ON CONFLICT (${key.join(", ")}) DO ${update}`;
    this.delete = `DELETE FROM ${table} WHERE ${key.map((name) => `${name} = :${name}`).join(" AND ")}`;
  }

  /** The values of {@linkcode RowMapping.upsert}, by column. */
  toSql(row: Row): SqlRow {
    const fields = row as Readonly<Record<string, unknown>>;
    return Object.fromEntries(
      this.#columns.map(([field, name, kind]) => [name, encode(fields[field], kind)]),
    );
  }

  /** @throws {SyntaxError} when a JSON column does not contain JSON: the file is damaged */
  fromSql(row: SqlRow): Row {
    const fields: Record<string, unknown> = {};
    for (const [field, name, kind] of this.#columns) {
      const value = decode(row[name] ?? null, kind);
      if (value !== undefined) fields[field] = value;
    }
    return fields as Row;
  }
}

function encode(value: unknown, kind: ColumnKind): SqlValue {
  if (kind === "json") return JSON.stringify(value);
  if (kind === "flag") return value ? 1 : 0;
  return (value ?? null) as SqlValue;
}

function decode(value: SqlValue, kind: ColumnKind): unknown {
  if (value === null) return undefined;
  switch (kind) {
    case "text":
      return String(value);
    case "number":
      return Number(value);
    case "flag":
      return value === 1;
    case "json":
      return JSON.parse(String(value));
    case "bytes":
      return value instanceof Uint8Array ? value : undefined;
  }
}

/**
 * A small table whose rows are all in memory as well. Every call is synchronous. A change is committed at the end of its
 * block, together with the events of the block. While the database refuses writes, memory is what counts.
 */
export class SmallTable<Row extends object> implements RowWriter {
  protected readonly rows = new Map<string, Row>();
  readonly #database: Database;
  readonly #mapping: RowMapping<Row>;
  readonly #key: keyof Row;
  readonly #keyColumn: string;
  /** Keys whose row on disk differs from the one in memory. */
  readonly #unwritten = new Set<string>();

  constructor(
    database: Database,
    { table, key, columns }: { table: string; key: keyof Row; columns: Columns<Row> },
  ) {
    this.#database = database;
    this.#key = key;
    this.#keyColumn = columns[key][0];
    this.#mapping = new RowMapping({ table, key: [this.#keyColumn], columns });
    database.join(this);
    const rows = database.read(
      (connection) => connection.rows(`SELECT * FROM ${table}`).map((row) => this.#mapping.fromSql(row)),
      [],
    );
    for (const row of rows) this.rows.set(this.#keyOf(row), row);
  }

  has(key: string): boolean {
    return this.rows.has(key);
  }

  save(row: Row): void {
    const key = this.#keyOf(row);
    this.rows.set(key, row);
    this.#changed(key);
  }

  /** Does nothing when the table has no such row. */
  remove(key: string): void {
    if (this.rows.delete(key)) this.#changed(key);
  }

  writeRows(connection: SqliteConnection): void {
    for (const key of this.#unwritten) {
      const row = this.rows.get(key);
      if (row === undefined) connection.run(this.#mapping.delete, { [this.#keyColumn]: key });
      else connection.run(this.#mapping.upsert, this.#mapping.toSql(row));
    }
  }

  rowsWritten(): void {
    this.#unwritten.clear();
  }

  databaseReplaced(): void {
    for (const key of this.rows.keys()) this.#unwritten.add(key);
  }

  #keyOf(row: Row): string {
    return String(row[this.#key]);
  }

  #changed(key: string): void {
    this.#unwritten.add(key);
    this.#database.changed(this);
  }
}
