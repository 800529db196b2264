import { assertEquals } from "@std/assert";
import type { ContainerRecord } from "../../src/containers/container_record.ts";
import { planAdoption } from "../../src/sessions/session_adoption.ts";
import type { StoredSession } from "../../src/storage/session_store.ts";

const row = (containerId: string, more: Partial<StoredSession> = {}): StoredSession => ({
  containerId,
  name: `name-${containerId}`,
  engineId: "E",
  state: "living",
  isAttached: false,
  image: "img",
  columns: 80,
  rows: 24,
  createdAtMs: 1_000,
  ...more,
});

const record = (id: string, more: Partial<ContainerRecord> = {}): ContainerRecord => ({
  id,
  name: `apex-session-${id}`,
  image: "img",
  labels: {},
  state: "running",
  ...more,
});

const plan = (rows: StoredSession[], records: ContainerRecord[], isTerminal = true) => {
  const { living, lost, remains } = planAdoption({
    rows,
    records,
    engineId: "E",
    isTerminal: () => isTerminal,
    nowMs: 9_000,
  });
  const ids = (rows: readonly StoredSession[]) => rows.map(({ containerId }) => containerId);
  return { living, ids: { living: ids(living), lost: ids(lost), remains: ids(remains) } };
};

Deno.test("planAdoption() continues sessions whose containers run, and reports the others as lost", () => {
  const rows = [row("a"), row("b"), row("c"), row("d")];
  const records = [
    record("a"),
    record("b", { state: "exited" }),
    record("c", { state: "paused" }),
  ];
  assertEquals(plan(rows, records).ids, { living: ["a", "c"], lost: ["b", "d"], remains: [] });
});

Deno.test("planAdoption() only removes sessions that were never published, or whose end was published", () => {
  const rows = [row("a", { state: "starting" }), row("b", { state: "ended" })];
  assertEquals(plan(rows, [record("a"), record("b")]).ids, { living: [], lost: [], remains: ["a", "b"] });
});

Deno.test("planAdoption() finds sessions without a row by their label, the newest of each name", () => {
  const labels = { "apex.session": "dev", "apex.session-ttl-ms": "5000" };
  const records = [
    record("old", { labels, createdAt: new Date(1_000) }),
    record("new", { labels, createdAt: new Date(2_000) }),
    record("ended", { labels: { "apex.session": "x" }, state: "exited" }),
    record("strange", { labels: { "apex.session": "no name" } }),
  ];
  const { living, ids } = plan([], records);
  assertEquals(ids, { living: ["new"], lost: [], remains: [] });
  assertEquals([living[0]?.name, living[0]?.createdAtMs, living[0]?.expiresAtMs], ["dev", 2_000, 7_000]);
  assertEquals(plan([], records, false).ids.living, []);
});

Deno.test("planAdoption() prefers a session with a row to one without", () => {
  const records = [record("a"), record("b", { labels: { "apex.session": "name-a" } })];
  assertEquals(plan([row("a")], records).ids.living, ["a"]);
});
