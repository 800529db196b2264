import { assertEquals } from "@std/assert";
import * as v from "valibot";
import type { ContainerOperationFailedEvent } from "../../../src/containers/changes/container_events.ts";
import { type PublishedEvents, toWireEvent } from "../../../src/daemon/events_socket/publish.ts";
import { wireEventSchemas, type WireEventType } from "../../../src/protocol/wire_event.ts";

type EventName = keyof PublishedEvents;

/** The form of an event without a failure. */
type Happened<Name extends EventName> = Name extends "container:operation_failed" ? PublishedEvents[Name]
  : Exclude<PublishedEvents[Name], ContainerOperationFailedEvent>;

const timestamp = new Date("2026-11-20T12:00:00.123Z");
const container = { containerId: "c1", containerName: "web", image: "busybox", timestamp };
const base = { ...container, success: true } as const;
const whole = { ...base, taskId: "t", origin: "reconciled" } as const;
const workspace = { taskId: "t", workspacePath: "/p", containerId: "c1", timestamp };
const task = { taskId: "t", timestamp, containerId: "c1", exitCode: 3, reason: "exit" } as const;
const session = { session: "dev", timestamp };
const failure: Required<ContainerOperationFailedEvent> = {
  ...container,
  success: false,
  taskId: "t",
  operation: "stop",
  error: "no such container",
};

/** Each event with every possible field. */
const EVENTS: { [Name in EventName]: Required<Happened<Name>> } = {
  "container:created": { ...whole, labels: { a: "b" } },
  "container:started": whole,
  "container:stopped": { ...whole, exitCode: 0, graceful: true, runDuration: 5 },
  "container:died": {
    ...whole,
    error: "boom",
    exitCode: 137,
    signal: "SIGKILL",
    oomKilled: true,
    runDuration: 5,
  },
  "container:removed": { ...whole, forced: true, exitCode: 1 },
  "container:health": {
    ...whole,
    status: "unhealthy",
    previousStatus: "healthy",
    failingStreak: 3,
    lastCheckExitCode: 1,
    lastCheckOutput: "no",
    lastCheckTime: timestamp,
  },
  "container:operation_failed": failure,
  "workspace-created": workspace,
  "workspace-cleaned": workspace,
  "task:created": task,
  "task:started": task,
  "task:completed": task,
  "task:failed": task,
  "task:cancelled": task,
  "session:created": session,
  "session:attached": session,
  "session:detached": session,
  "session:removed": session,
  "engine:connected": { engine: "docker", version: "20.10.24", timestamp },
  "engine:disconnected": { engine: "docker", error: "gone", timestamp },
};

/** Fields of the wire schema that the event never has. */
const NEVER: Partial<Record<EventName, readonly string[]>> = {
  "engine:connected": ["error"],
  "engine:disconnected": ["version"],
};

for (const name of Object.keys(EVENTS) as EventName[]) {
  Deno.test(`toWireEvent() gives ${name} every field of its schema and nothing else`, () => {
    const wire = toWireEvent(name, EVENTS[name] as PublishedEvents[typeof name]);
    const type = name.replace(/[:-]/, ".") as WireEventType;
    const { entries } = wireEventSchemas[type];
    v.parse(v.strictObject(entries as v.ObjectEntries), wire);
    const expected = Object.keys(entries).filter((key) => !NEVER[name]?.includes(key));
    assertEquals(Object.keys(wire).sort(), expected.sort());
    assertEquals([Object.keys(wire)[0], wire.type], ["type", type]);
  });
}

for (const name of ["created", "started", "stopped", "removed", "operation_failed"] as const) {
  Deno.test(`toWireEvent() makes container.operation_failed of a container:${name} that failed`, () => {
    const wire = toWireEvent(`container:${name}`, failure);
    assertEquals<unknown>(wire, {
      type: "container.operation_failed",
      containerId: "c1",
      containerName: "web",
      image: "busybox",
      timestamp: "2026-11-20T12:00:00.123Z",
      taskId: "t",
      operation: "stop",
      error: "no such container",
    });
    v.parse(v.strictObject(wireEventSchemas["container.operation_failed"].entries), wire);
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
