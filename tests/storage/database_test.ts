import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { silentLogger } from "../../src/platform/logger.ts";
import { Database, RETRY_MS } from "../../src/storage/database.ts";
import { SCHEMA_VERSION } from "../../src/storage/schema.ts";
import { IN_MEMORY } from "../../src/storage/sqlite_connection.ts";
import { holdLock, JournaledLog } from "../support/daemons/journaled_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

function open(
  path: string,
  clock = new FakeClock(Date.UTC(2026, 1, 3, 4, 5, 6, 7)),
): Database & { readonly errors: string[] } {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (message: string) => void errors.push(message) };
  const database = new Database({ path, clock, logger });
  return Object.assign(database, { errors });
}

const mode = (path: string): number => Deno.statSync(path).mode! & 0o777;
const names = (dir: TempDir): string[] => [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
const addMeta = (database: Database, key: string): boolean =>
  database.write((connection) => void connection.run("INSERT INTO meta VALUES (:key, 'x')", { key }));
const keysOf = (database: Database): unknown[] =>
  database.read((connection) => connection.rows("SELECT key FROM meta ORDER BY key"), []).map(({ key }) =>
    key
  );

Deno.test("Database creates a private file with a schema version, and keeps what is written", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  {
    using database = open(path);
    assertEquals(database.status, { state: "ok" });
    assert(addMeta(database, "a"));
    assertEquals(["", "-wal", "-shm"].map((suffix) => mode(path + suffix)), [0o600, 0o600, 0o600]);
  }
  assertEquals(names(dir), ["apex.db"]);
  await Deno.chmod(path, 0o644);
  using database = open(path);
  assertEquals(keysOf(database), ["a", "schema_version"]);
  assertEquals(mode(path), 0o600);
  const [row] = database.read((each) => each.rows("SELECT value FROM meta WHERE key = 'schema_version'"), []);
  assertEquals(row?.value, String(SCHEMA_VERSION));
  const pragmas = ["journal_mode", "synchronous", "busy_timeout", "auto_vacuum"].map((pragma) =>
    Object.values(database.read((each) => each.rows(`PRAGMA ${pragma}`), [])[0] ?? {})[0]
  );
  assertEquals(pragmas, ["wal", 1, 100, 2]);
});

Deno.test("Database.write() writes all or nothing, and rethrows a defect of the program", () => {
  using database = open(IN_MEMORY);
  const mistake = new TypeError("a mistake");
  assertThrows(
    () =>
      database.write((connection) => {
        connection.run("INSERT INTO meta VALUES ('a', 'x')");
        throw mistake;
      }),
    TypeError,
    "a mistake",
  );
  assertEquals(keysOf(database), ["schema_version"]);
});

Deno.test("Database moves a file aside that is not a database, and creates a new one", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  await Deno.writeTextFile(
    path,
    "this is not a database, and long enough to be recognized as such ".repeat(20),
  );
  using database = open(path);
  assert(addMeta(database, "a"));
  assertEquals(database.status.state, "ok");
  assertMatch(database.status.error ?? "", /not a database.*moved to/);
  assertEquals(database.errors.length, 1);
  assertEquals(names(dir), ["apex.db", "apex.db-shm", "apex.db-wal", "apex.db.corrupt-20260203T040506.007Z"]);
});

Deno.test("Database moves the file of a later version of apex aside", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  {
    using database = open(path);
    database.write((each) => void each.run("UPDATE meta SET value = '999' WHERE key = 'schema_version'"));
  }
  using database = open(path);
  assertMatch(database.errors.join(), /version 999/);
  assertEquals(names(dir).at(-1), "apex.db.newer-20260203T040506.007Z");
  assert(addMeta(database, "a"));
});

Deno.test("Database moves a file with damaged pages aside when it reads one of them", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  {
    using database = open(path);
    for (let i = 0; i < 2_000; i++) addMeta(database, `key ${i}`);
  }
  const bytes = await Deno.readFile(path);
  // All pages except the first, which is the only one that opening reads.
  await Deno.writeFile(path, bytes.fill(0xA5, 4_096));
  using database = open(path);
  assertEquals(keysOf(database).length <= 1, true);
  assert(addMeta(database, "a"), "the new one is written");
  assertEquals(database.errors.length, 1);
  assertEquals(names(dir).some((name) => name.startsWith("apex.db.corrupt-")), true);
});

Deno.test("Database is in memory and logs that once when no file can be created", async () => {
  await using dir = await TempDir.make();
  using database = open(dir.join("no/such/directory/apex.db"));
  for (const key of ["a", "b"]) assert(addMeta(database, key));
  assertEquals(keysOf(database), ["a", "b", "schema_version"]);
  assertEquals([database.status.state, database.errors.length], ["degraded", 1]);
  assertMatch(database.errors[0] ?? "", /keeps nothing on disk/);
});

Deno.test("Database is degraded from a refused write to the next successful one, and logs that once", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  using database = open(path);
  {
    using other = open(path);
    other.write(() => {
      assertEquals(addMeta(database, "a"), false);
      assertEquals(addMeta(database, "a"), false);
    });
  }
  assertEquals([database.status.state, database.errors.length], ["degraded", 1]);
  assertMatch(database.status.error ?? "", /locked/);
  assertMatch(database.errors[0] ?? "", new RegExp(`every ${RETRY_MS / 1_000} s`));
  assert(addMeta(database, "a"));
  assertEquals(database.status, { state: "ok" });
});

Deno.test("Database tries again after a refused write, even when no writer has rows", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  const clock = new FakeClock();
  using database = open(path, clock);
  {
    using _lock = holdLock(path);
    assertEquals(addMeta(database, "a"), false);
    clock.advance(2 * RETRY_MS);
    assertEquals([database.status.state, database.isRefused, database.errors.length], ["degraded", true, 1]);
  }
  clock.advance(RETRY_MS);
  assertEquals([database.status, database.isRefused, clock.pendingTimers], [{ state: "ok" }, false, 0]);
});

Deno.test("Database recovers from a refused pruning step while the journal is idle", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("a.db");
  await using daemon = new JournaledLog(path);
  const { epoch } = daemon.journal;
  {
    using _lock = holdLock(path);
    daemon.clock.advance(60_000);
    assertEquals(daemon.storage.status.state, "degraded");
  }
  daemon.clock.advance(RETRY_MS);
  assertEquals([daemon.storage.status, daemon.journal.status.state, daemon.journal.epoch], [
    { state: "ok" },
    "on",
    epoch,
  ]);
});

Deno.test("Database in place of an unusable file stays degraded after a successful write", () => {
  using database = open("/no/such/directory/apex.db");
  database.read((connection) => connection.rows("PRAGMA max_page_count=1"), []);
  assertEquals(
    database.write((each) =>
      void each.run("INSERT INTO meta VALUES ('big', :big)", { big: "x".repeat(99_999) })
    ),
    false,
  );
  assert(addMeta(database, "small"));
  assertEquals(database.status.state, "degraded");
});

Deno.test("Database.checkFile() reports a deleted or replaced file once in the log, and in the status until it is back", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  using database = open(path);
  assertEquals([database.checkFile(), database.status], [undefined, { state: "ok" }]);
  await Deno.rename(path, dir.join("elsewhere"));
  for (let look = 0; look < 2; look++) assertEquals(database.checkFile(), "deleted");
  assertEquals(database.errors.length, 1);
  assertMatch(database.errors[0]!, /apex\.db: its file was deleted/);
  assertEquals(database.status, { state: "degraded", error: "its file was deleted while apex ran" });
  await Deno.writeTextFile(path, "");
  assertEquals([database.checkFile(), database.errors.length], ["replaced", 2]);
  assertMatch(database.status.error!, /replaced/);
  await Deno.rename(dir.join("elsewhere"), path);
  assertEquals([database.checkFile(), database.status], [undefined, { state: "ok" }]);
});

Deno.test("Database keeps what was written when a full disk refuses a write", () => {
  using database = open(IN_MEMORY);
  assert(addMeta(database, "before"));
  database.read((connection) => connection.rows("PRAGMA max_page_count=1"), []);
  const big = "x".repeat(100_000);
  assertEquals(
    database.write((each) => void each.run("INSERT INTO meta VALUES ('big', :big)", { big })),
    false,
  );
  assertMatch(database.status.error ?? "", /full/);
  assertEquals(keysOf(database), ["before", "schema_version"]);
});
