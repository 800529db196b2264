/**
 * The schema of the database as a list of migrations: step `n` turns version `n` into version `n + 1`. A published step is
 * never changed; a later change is a new step at the end.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    reason TEXT,
    exit_code INTEGER,
    error TEXT,
    engine_id TEXT,
    container_id TEXT,
    workspace_path TEXT,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    stop_cause TEXT,
    cleanup_pending INTEGER NOT NULL,
    spec TEXT NOT NULL
  );
  CREATE INDEX tasks_by_state ON tasks (state, cleanup_pending);
  CREATE INDEX tasks_by_end ON tasks (ended_ms, seq) WHERE ended_ms IS NOT NULL;
  `,
  `
  CREATE TABLE sessions (
    container_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    engine_id TEXT NOT NULL,
    state TEXT NOT NULL,
    is_attached INTEGER NOT NULL,
    image TEXT NOT NULL,
    terminal_columns INTEGER NOT NULL,
    terminal_rows INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    last_attached_ms INTEGER,
    expires_ms INTEGER
  ) WITHOUT ROWID;
  `,
  // The index contains rowids, so it returns the events of one task in order.
  `
  CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    task_id TEXT,
    container_id TEXT,
    line BLOB NOT NULL
  );
  CREATE INDEX events_by_task ON events (task_id) WHERE task_id IS NOT NULL;
  CREATE TABLE engine_events (
    engine_id TEXT NOT NULL,
    time_nano REAL NOT NULL,
    container_id TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (engine_id, time_nano, container_id, action)
  ) WITHOUT ROWID;
  `,
  // `number` is the order in which apex first saw the containers.
  `
  CREATE TABLE engines (
    engine_id TEXT PRIMARY KEY,
    baseline_nano REAL NOT NULL,
    followed_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE containers (
    number INTEGER PRIMARY KEY,
    engine_id TEXT NOT NULL,
    container_id TEXT NOT NULL,
    name TEXT NOT NULL,
    image TEXT NOT NULL,
    labels TEXT NOT NULL,
    state TEXT NOT NULL,
    health TEXT,
    exit_code INTEGER,
    created_nano REAL,
    started_nano REAL,
    finished_nano REAL,
    details TEXT NOT NULL,
    UNIQUE (engine_id, container_id)
  );
  `,
  "ALTER TABLE sessions ADD COLUMN recent_output BLOB",
  "CREATE TABLE kept_containers (container_id TEXT PRIMARY KEY) WITHOUT ROWID",
  // A task id can be used again: one row for each run.
  `
  CREATE TABLE task_runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    run INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    reason TEXT,
    exit_code INTEGER,
    error TEXT,
    engine_id TEXT,
    container_id TEXT,
    workspace_path TEXT,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms INTEGER,
    stop_cause TEXT,
    cleanup_pending INTEGER NOT NULL,
    spec TEXT NOT NULL,
    UNIQUE (task_id, run)
  );
  INSERT INTO task_runs (seq, task_id, state, reason, exit_code, error, engine_id, container_id, workspace_path,
    created_ms, started_ms, ended_ms, stop_cause, cleanup_pending, spec)
  SELECT seq, task_id, state, reason, exit_code, error, engine_id, container_id, workspace_path,
    created_ms, started_ms, ended_ms, stop_cause, cleanup_pending, spec FROM tasks;
  DROP TABLE tasks;
  ALTER TABLE task_runs RENAME TO tasks;
  CREATE INDEX tasks_by_state ON tasks (state, cleanup_pending);
  CREATE INDEX tasks_by_end ON tasks (ended_ms, seq) WHERE ended_ms IS NOT NULL;
  `,
  `
  ALTER TABLE tasks ADD COLUMN request_id TEXT;
  ALTER TABLE tasks ADD COLUMN output_awaited INTEGER NOT NULL DEFAULT 0;
  `,
  // `number` is the order in which outputs were kept. It is indexed with `size` because the records are long.
  `
  CREATE TABLE task_outputs (
    number INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    run INTEGER NOT NULL,
    is_cut INTEGER NOT NULL,
    missing TEXT,
    size INTEGER NOT NULL,
    records BLOB,
    UNIQUE (task_id, run)
  );
  CREATE INDEX task_outputs_by_size ON task_outputs (number, size);
  CREATE TRIGGER task_output_goes_with_task AFTER DELETE ON tasks BEGIN
    DELETE FROM task_outputs WHERE task_id = OLD.task_id AND run = OLD.run;
  END;
  `,
];

/** The version of a database after all steps. */
export const SCHEMA_VERSION = MIGRATIONS.length;
