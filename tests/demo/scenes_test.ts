import { assertEquals } from "@std/assert";
import { explainEvent } from "../../src/demo/scenes.ts";

const NAMES = { taskId: "build", containerName: "apex-task-build" };

const EVENTS: readonly (readonly [Record<string, unknown>, string | undefined])[] = [
  [{ type: "container.created", ...NAMES }, `the container of task "build" was created; it does not run yet`],
  [{ type: "container.started", ...NAMES }, `"build" has started`],
  [{ type: "container.started", containerName: "web" }, `"web" has started`],
  [{ type: "container.died", ...NAMES, exitCode: 0 }, `"build" ended: it succeeded (status 0)`],
  [
    { type: "container.died", ...NAMES, exitCode: 3, runDuration: 1_250 },
    `"build" ended after 1.3 s: it failed with status 3`,
  ],
  [
    { type: "container.died", ...NAMES, exitCode: 137, signal: "SIGKILL", oomKilled: false },
    `"build" ended: killed by SIGKILL (status 137)`,
  ],
  [
    { type: "container.died", ...NAMES, exitCode: 137, signal: "SIGKILL", oomKilled: true },
    `"build" ended: it ran out of memory`,
  ],
  [
    { type: "container.stopped", ...NAMES, exitCode: 0, graceful: true, runDuration: 500 },
    `"build" was stopped, and shut down cleanly after 0.5 s with status 0`,
  ],
  [
    { type: "container.stopped", ...NAMES, exitCode: 137, graceful: false },
    `"build" was stopped, and had to be killed (status 137)`,
  ],
  [{ type: "container.removed", ...NAMES }, `the container of "build" was removed`],
  [
    { type: "container.health", ...NAMES, status: "unhealthy" },
    `the health check of "build" reports: unhealthy`,
  ],
  [{ type: "engine.connected", engine: "embedded" }, "apex is connected to the engine"],
  [{ type: "engine.disconnected", error: "x" }, "apex has lost the engine, and tries to reconnect"],
  [{ type: "session.created" }, undefined],
  [{ type: "something.new" }, undefined],
];

for (const [event, words] of EVENTS) {
  Deno.test(`explainEvent() returns ${JSON.stringify(words)} for ${JSON.stringify(event)}`, () => {
    assertEquals(explainEvent(event), words);
  });
}
