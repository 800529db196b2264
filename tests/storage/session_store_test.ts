import { assert, assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { silentLogger } from "../../src/platform/logger.ts";
import type { StoredSession } from "../../src/storage/session_store.ts";
import { openStorage } from "../../src/storage/storage.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TempDir } from "../support/temp_dir.ts";

const DEV: StoredSession = {
  containerId: "c1",
  name: "dev",
  engineId: "E",
  state: "living",
  isAttached: true,
  image: "img",
  columns: 100,
  rows: 40,
  createdAtMs: 1_000,
  lastAttachedAtMs: 2_000,
  expiresAtMs: 3_000,
  recentOutput: new Uint8Array([0, 36, 32, 255]),
};

const open = (path: string, clock = new FakeClock()) => openStorage({ path, clock, logger: silentLogger });

Deno.test("SessionStore keeps rows across a restart, each under its container", async () => {
  await using temp = await TempDir.make();
  const path = temp.join("apex.db");
  const { lastAttachedAtMs: _, expiresAtMs: __, recentOutput: ___, ...bare } = DEV;
  {
    using storage = open(path);
    storage.sessions.save({ ...DEV, isAttached: false });
    storage.sessions.save(DEV);
    storage.sessions.save({ ...bare, containerId: "c2", state: "ended", createdAtMs: 500 });
    storage.sessions.save({ ...DEV, containerId: "c3" });
    storage.sessions.save({ ...DEV, containerId: "c4", engineId: "another" });
    storage.sessions.remove("c3");
    storage.sessions.remove("unknown");
  }
  using storage = open(path);
  assertEquals(storage.sessions.ofEngine("E"), [
    { ...bare, containerId: "c2", state: "ended", createdAtMs: 500 },
    DEV,
  ]);
  assertEquals(storage.sessions.ofEngine("another").map(({ containerId }) => containerId), ["c4"]);
});

Deno.test("SessionStore keeps rows that the database refuses, and writes them later", async () => {
  await using temp = await TempDir.make();
  const path = temp.join("apex.db");
  const clock = new FakeClock();
  using storage = open(path, clock);
  storage.sessions.save(DEV);
  assert(storage.flush());
  {
    // Another process holds the lock, so every write is refused.
    using blocker = new Blocker(path);
    storage.sessions.save({ ...DEV, containerId: "c2" });
    storage.sessions.remove("c1");
    assertEquals(storage.flush(), false);
    assertEquals(storage.sessions.ofEngine("E").map(({ containerId }) => containerId), ["c2"]);
    assert(!storage.flush());
    clock.advance(5_000);
    assertEquals(blocker.rows(), 1);
  }
  clock.advance(5_000);
  using again = open(path);
  assertEquals(again.sessions.ofEngine("E").map(({ containerId }) => containerId), ["c2"]);
  assertEquals(clock.pendingTimers, 0);
});

/** Another process that holds the write lock of the database. */
class Blocker implements Disposable {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec("BEGIN IMMEDIATE");
  }

  rows(): number {
    return Number(this.#database.prepare("SELECT count(*) AS n FROM sessions").get()?.n);
  }

  [Symbol.dispose](): void {
    this.#database.exec("ROLLBACK");
    this.#database.close();
  }
}
