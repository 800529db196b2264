import { assertEquals } from "@std/assert";
import { EngineFeed } from "./engine_feed.ts";

Deno.test("container:health tells changes only, each with the status before", async () => {
  await using feed = new EngineFeed("podman");
  feed.connect();
  feed.say("start", "web");
  for (const status of ["starting", "healthy", "healthy", "unhealthy", "unhealthy", "healthy"]) {
    feed.say("health_status", "web", { health_status: status });
  }
  assertEquals(feed.take(), [
    "started web",
    "health web ?>starting",
    "health web starting>healthy",
    "health web healthy>unhealthy",
    "health web unhealthy>healthy",
  ]);
});

Deno.test("a container that is started anew begins with starting, which Docker does not say", async () => {
  await using feed = new EngineFeed();
  feed.connect();
  feed.say("start", "web");
  feed.say("health_status: healthy", "web");
  feed.say("die", "web", { exitCode: "0" });
  feed.say("start", "web");
  assertEquals(feed.tracker.list()[0]?.health, "starting");
  feed.say("health_status: healthy", "web");
  assertEquals(feed.take(), [
    "started web",
    "health web ?>healthy",
    "died web 0",
    "started web",
    "health web starting>healthy",
  ]);
});
