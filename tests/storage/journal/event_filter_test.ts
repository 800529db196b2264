import { assertEquals } from "@std/assert";
import { EventFilter, type EventFilterOptions } from "../../../src/storage/journal/event_filter.ts";

const EVENT = {
  type: "container.died",
  taskId: "t1",
  containerId: "abcdef012345",
  containerName: "web",
};

const CASES: readonly [EventFilterOptions, boolean][] = [
  [{}, true],
  [{ types: ["container.*"] }, true],
  [{ types: ["task.*", "*.died"] }, true],
  [{ types: ["container.died"] }, true],
  [{ types: ["container"] }, false],
  [{ types: ["containerxdied"] }, false],
  [{ types: ["container.die"] }, false],
  [{ types: ["*"] }, true],
  [{ types: ["c*.*d"] }, true],
  [{ types: ["(container|task).died"] }, false],
  [{ types: [] }, false],
  [{ taskId: "t1" }, true],
  [{ taskId: "t" }, false],
  [{ container: "web" }, true],
  [{ container: "we" }, false],
  [{ container: "abcdef" }, true],
  [{ container: "abcdef012345" }, true],
  [{ container: "abc" }, false],
  [{ container: "bcdef" }, false],
  [{ types: ["container.*"], taskId: "t1", container: "web" }, true],
  [{ types: ["task.*"], taskId: "t1", container: "web" }, false],
];

Deno.test("EventFilter.matches() requires type, task and container", () => {
  for (const [options, expected] of CASES) {
    assertEquals(new EventFilter(options).matches(EVENT), expected, JSON.stringify(options));
  }
});

Deno.test("EventFilter.matches() is false for a task or container filter when the event has none", () => {
  const event = {
    type: "session.created",
    taskId: undefined,
    containerId: undefined,
    containerName: undefined,
  };
  const matches = (options: EventFilterOptions): boolean => new EventFilter(options).matches(event);
  assertEquals([matches({}), matches({ taskId: "t1" }), matches({ container: "undefined" })], [
    true,
    false,
    false,
  ]);
});

Deno.test("EventFilter.matches() is fast with a glob of many stars", () => {
  const filter = new EventFilter({ types: [`${"*".repeat(200)}x`, `${"*a".repeat(12)}b`] });
  assertEquals(filter.matches({ ...EVENT, type: "a".repeat(24) }), false);
});
