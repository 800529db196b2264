/**
 * When a name is used again, the end of its previous container is published before the creation of the next one. It does
 * not matter which of the two the stream reported, and which a comparison with the engine found.
 */
import { assertEquals } from "@std/assert";
import type { ContainerInspect } from "../../../src/engine/engine_types.ts";
import {
  engineEvent,
  EngineFeed,
  inspectOf,
  summaryOf,
  T0_MS,
} from "../../support/containers/engine_feed.ts";
import { RestartedFeed } from "../../support/containers/restarted_feed.ts";
import { TempDir } from "../../support/temp_dir.ts";

const TERM = { signal: "15" };
const web = (attributes: Record<string, string> = {}) => ({ name: "web", ...attributes });
const code = (exitCode: number): Record<string, string> => ({ exitCode: String(exitCode) });

/** A started container named `web`, on an engine that has replaced it by a newer one of the same name. */
function replacedWeb(): EngineFeed {
  const feed = new EngineFeed();
  feed.connect();
  feed.say("create", "old", web());
  feed.say("start", "old", web());
  assertEquals(feed.take(), ["created web", "started web"]);
  feed.answer = (id) => id === "new" ? inspectOf("new", { name: "web", started: 10 }) : undefined;
  return feed;
}

const NEW_WEB = [summaryOf("new", { name: "web" })];

/** The stream breaks, and reconnects without a replay. */
function cut(feed: EngineFeed, containers = NEW_WEB): void {
  feed.tracker.disconnected("cut");
  feed.connect(containers, { first: false });
}

Deno.test("a container found by a comparison waits for the held end of the previous one", async () => {
  await using feed = replacedWeb();
  feed.say("kill", "old", web(TERM));
  feed.say("die", "old", web(code(143)));
  feed.say("destroy", "old", web());
  cut(feed);
  await feed.reconcile(NEW_WEB);
  assertEquals(feed.take(), []);
  assertEquals(
    feed.tracker.registry.list().map(({ id }) => id),
    ["old"],
    "the list shows what has been published",
  );
  feed.clock.advance(2_000);
  assertEquals(feed.take(), ["died web 143 SIGTERM", "removed web 143", "~created web", "~started web"]);
  await feed.reconcile(NEW_WEB);
  assertEquals([feed.take(), feed.clock.pendingTimers], [[], 0]);
});

Deno.test("a container found by a comparison also waits for an inferred removal of the previous one", async () => {
  await using feed = replacedWeb();
  feed.say("kill", "old", web(TERM));
  feed.say("die", "old", web(code(143)));
  cut(feed);
  await feed.reconcile(NEW_WEB);
  assertEquals(feed.take(), []);
  feed.clock.advance(2_000);
  assertEquals(feed.take(), ["died web 143 SIGTERM", "~removed web 143", "~created web", "~started web"]);
});

Deno.test("a container found by a comparison waits while the previous one's exit code is inspected", async () => {
  await using feed = replacedWeb();
  const slow = Promise.withResolvers<ContainerInspect | undefined>();
  const answer = feed.answer;
  feed.answer = (id) => id === "old" && feed.inspected.length === 1 ? slow.promise : answer(id);
  feed.say("die", "old", web(code(255)));
  await feed.settle();
  await feed.reconcile(NEW_WEB);
  assertEquals(feed.take(), []);
  slow.resolve(undefined);
  await feed.settle();
  assertEquals(feed.take(), ["died web 255"]);
  await feed.reconcile(NEW_WEB);
  assertEquals(feed.take(), ["~removed web 255", "~created web", "~started web"]);
});

Deno.test("a creation in the stream waits for an end that the stream lost", async () => {
  await using feed = replacedWeb();
  cut(feed);
  feed.say("create", "new", web());
  feed.say("start", "new", web());
  assertEquals([feed.take(), feed.reconcileRequests], [[], 1]);
  await feed.reconcile(NEW_WEB);
  assertEquals(feed.take(), ["~removed web", "created web", "started web"]);
});

Deno.test("a creation in the stream waits for an end that the engine reports after it", async () => {
  await using feed = replacedWeb();
  feed.say("create", "new", web());
  feed.say("die", "old", web(code(3)));
  assertEquals(feed.take(), ["died web 3"]);
  feed.say("destroy", "old", web());
  assertEquals(feed.take(), ["removed web 3", "created web"]);
});

Deno.test("a container waits until the previous one has been renamed", async () => {
  await using feed = replacedWeb();
  feed.say("kill", "old", web(TERM));
  feed.say("die", "old", web(code(143)));
  feed.say("rename", "old", { name: "web-old" });
  feed.say("create", "new", web());
  assertEquals(feed.take(), []);
  feed.clock.advance(2_000);
  assertEquals(feed.take(), ["died web 143 SIGTERM", "created web"]);
  assertEquals(feed.tracker.registry.list().map(({ id, name }) => [id, name]), [["old", "web-old"], [
    "new",
    "web",
  ]]);
});

Deno.test("two containers that swapped their names do not wait for each other", async () => {
  await using feed = new EngineFeed();
  const before = ["web", "api"].map((id) => summaryOf(id));
  const after = [summaryOf("web", { name: "api" }), summaryOf("api", { name: "web" })];
  feed.answer = (id) => inspectOf(id, { name: id === "web" ? "api" : "web", started: 0 });
  feed.connect(before);
  cut(feed, after);
  await feed.reconcile(after);
  feed.say("die", "web", { name: "api", ...code(1) });
  feed.say("die", "api", { name: "web", ...code(2) });
  assertEquals(feed.take(), ["died api 1", "died web 2"]);
});

Deno.test("a container stops waiting once a comparison shows that the owner kept the name", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "kept", web());
  feed.answer = (id) => id === "kept" ? inspectOf(id, { name: "web", started: 0 }) : undefined;
  // Reported late: `late` was removed before `kept` got its name.
  feed.say("create", "late", web());
  feed.say("destroy", "late", web());
  assertEquals([feed.take(), feed.reconcileRequests], [["started web"], 1]);
  await feed.reconcile([summaryOf("kept", { name: "web" })]);
  assertEquals(feed.take(), ["created web", "removed web"]);
  feed.say("die", "kept", web(code(0)));
  assertEquals(feed.take(), ["died web 0"]);
});

Deno.test("a container that was removed during the first list does not wait for the listed one of its name", async () => {
  await using feed = new EngineFeed();
  feed.connect(NEW_WEB);
  feed.say("create", "brief", web());
  feed.say("die", "brief", web(code(1)));
  feed.say("destroy", "brief", web());
  feed.say("create", "new", web());
  feed.say("start", "new", web());
  assertEquals(feed.take(), ["created web", "died web 1", "removed web 1", "created web", "started web"]);
});

Deno.test("a container stops waiting when too many of its events wait", async () => {
  await using feed = replacedWeb();
  feed.say("create", "new", web());
  for (let i = 0; i < 255; i++) feed.say("oom", "new", web());
  assertEquals(feed.take(), []);
  feed.say("start", "new", web());
  assertEquals(feed.take(), ["created web", "started web"]);
  feed.say("die", "new", web(code(1)));
  assertEquals(feed.take(), ["died web 1"]);
});

Deno.test("a container that waits for a name still waits after a restart of apex", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("apex.db");
  const at = (ms: number, action: string, id: string, attributes = {}) =>
    engineEvent(action, id, { timeMs: T0_MS + ms, attributes: web(attributes) });
  {
    await using first = new RestartedFeed({ path, nowMs: T0_MS });
    await first.say(at(1, "start", "old"));
    await first.say(at(2, "kill", "old", TERM));
    await first.say(at(3, "die", "old", code(143)));
    await first.say(at(4, "destroy", "old"));
    for (const id of ["second", "third"]) {
      await first.say(at(5, "create", id));
      await first.say(at(6, "destroy", id));
    }
    assertEquals(first.feed.take(), ["started web"]);
  }
  await using next = new RestartedFeed({ path, nowMs: T0_MS + 1_000 });
  assertEquals(next.feed.take(), []);
  next.feed.clock.advance(2_000);
  assertEquals(next.feed.take(), [
    ...["died web 143 SIGTERM", "removed web 143"],
    ...["created web", "removed web", "created web", "removed web"],
  ]);
});
