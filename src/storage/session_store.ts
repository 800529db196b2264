import type { Database } from "./database.ts";
import { type Columns, SmallTable } from "./table.ts";

/** The row of a session. Its identity is its container. Times are in milliseconds since the Unix epoch. */
export interface StoredSession {
  readonly containerId: string;
  readonly name: string;
  /** The engine that has the container. */
  readonly engineId: string;
  readonly state: StoredSessionState;
  /** A client was attached when the row was written. */
  readonly isAttached: boolean;
  readonly image: string;
  /** The terminal's size, as the last client had it. */
  readonly columns: number;
  readonly rows: number;
  readonly createdAtMs: number;
  readonly lastAttachedAtMs?: number;
  readonly expiresAtMs?: number;
  /** The last output of its terminal, which the engine may not have logged yet. */
  readonly recentOutput?: Uint8Array;
}

/** `starting`: not published yet. `ended`: its end is published, and its container is still to be removed. */
export type StoredSessionState = "starting" | "living" | "ended";

const COLUMNS: Columns<StoredSession> = {
  containerId: ["container_id", "text"],
  name: ["name", "text"],
  engineId: ["engine_id", "text"],
  state: ["state", "text"],
  isAttached: ["is_attached", "flag"],
  image: ["image", "text"],
  columns: ["terminal_columns", "number"],
  rows: ["terminal_rows", "number"],
  createdAtMs: ["created_ms", "number"],
  lastAttachedAtMs: ["last_attached_ms", "number"],
  expiresAtMs: ["expires_ms", "number"],
  recentOutput: ["recent_output", "bytes"],
};

/** The sessions of all engines. */
export class SessionStore extends SmallTable<StoredSession> {
  constructor(database: Database) {
    super(database, { table: "sessions", key: "containerId", columns: COLUMNS });
  }

  /** The sessions of one engine, in the order of their creation. */
  ofEngine(engineId: string): StoredSession[] {
    return [...this.rows.values()].filter((row) => row.engineId === engineId)
      .sort((a, b) => a.createdAtMs - b.createdAtMs);
  }
}
