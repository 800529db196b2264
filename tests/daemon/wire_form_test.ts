import { assertEquals } from "@std/assert";
import * as v from "valibot";
import { type PublishedEvents, toWireEvent } from "../../src/daemon/wire_form.ts";
import { wireEventSchemas, type WireEventType } from "../../src/protocol/wire_event.ts";

const timestamp = new Date("2026-11-20T12:00:00.123Z");
const base = { containerId: "c1", containerName: "web", image: "busybox", timestamp, success: true };

/** Each event with every field it may have. */
const EVENTS: { [Name in keyof PublishedEvents]: Required<PublishedEvents[Name]> } = {
  "container:created": { ...base, taskId: "t", origin: "reconciled", error: "", labels: { a: "b" } },
  "container:started": { ...base, taskId: "t", origin: "reconciled", error: "" },
  "container:stopped": {
    ...base,
    taskId: "t",
    origin: "reconciled",
    error: "",
    exitCode: 0,
    graceful: true,
    runDuration: 5,
  },
  "container:died": {
    ...base,
    taskId: "t",
    origin: "reconciled",
    error: "boom",
    exitCode: 137,
    signal: "SIGKILL",
    oomKilled: true,
    runDuration: 5,
  },
  "container:removed": { ...base, taskId: "t", origin: "reconciled", error: "", forced: true, exitCode: 1 },
  "container:health": {
    ...base,
    taskId: "t",
    origin: "reconciled",
    error: "",
    status: "unhealthy",
    previousStatus: "healthy",
    failingStreak: 3,
    lastCheckExitCode: 1,
    lastCheckOutput: "no",
    lastCheckTime: timestamp,
  },
  "engine:connected": { engine: "docker", version: "20.10.24", timestamp },
  "engine:disconnected": { engine: "docker", error: "gone", timestamp },
};

for (const name of Object.keys(EVENTS) as (keyof PublishedEvents)[]) {
  Deno.test(`toWireEvent() gives ${name} every field of its schema and nothing else`, () => {
    const { error, ...event } = EVENTS[name] as unknown as Record<string, unknown>;
    const type = name.replace(":", ".") as WireEventType;
    // An event that succeeded has no error, except those whose wire form says so.
    const hasError = "error" in wireEventSchemas[type].entries;
    const wire = toWireEvent(
      name,
      { ...event, ...(hasError && { error }) } as unknown as PublishedEvents[typeof name],
    );
    v.parse(v.strictObject(wireEventSchemas[type].entries as v.ObjectEntries), wire);
    const optional = type === "engine.connected"
      ? ["error"]
      : type === "engine.disconnected"
      ? ["version"]
      : [];
    assertEquals(
      Object.keys(wire).sort(),
      Object.keys(wireEventSchemas[type].entries).filter((key) => !optional.includes(key)).sort(),
    );
    assertEquals(Object.keys(wire)[0], "type");
  });
}

Deno.test("toWireEvent() writes times as RFC 3339 in UTC with milliseconds", () => {
  assertEquals(toWireEvent("container:started", base), {
    type: "container.started",
    containerId: "c1",
    containerName: "web",
    image: "busybox",
    timestamp: "2026-11-20T12:00:00.123Z",
  });
});
