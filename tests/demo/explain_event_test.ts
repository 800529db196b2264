import { assertEquals } from "@std/assert";
import { explainEvent } from "../../src/demo/explain_event.ts";

const WHO = { taskId: "build", containerName: "apex-task-build" };

const EVENTS: readonly (readonly [Record<string, unknown>, string | undefined])[] = [
  [{ type: "container.created", ...WHO }, `a container for the task "build" is there, not running yet`],
  [{ type: "container.started", ...WHO }, `"build" runs`],
  [{ type: "container.started", containerName: "web" }, `"web" runs`],
  [{ type: "container.died", ...WHO, exitCode: 0 }, `"build" ended: all went well (status 0)`],
  [
    { type: "container.died", ...WHO, exitCode: 3, runDuration: 1_250 },
    `"build" ended after 1.3 s: it failed with status 3`,
  ],
  [
    { type: "container.died", ...WHO, exitCode: 137, signal: "SIGKILL", oomKilled: false },
    `"build" ended: SIGKILL ended it (status 137)`,
  ],
  [
    { type: "container.died", ...WHO, exitCode: 137, signal: "SIGKILL", oomKilled: true },
    `"build" ended: it was out of memory`,
  ],
  [
    { type: "container.stopped", ...WHO, exitCode: 0, graceful: true, runDuration: 500 },
    `"build" was asked to stop, and ended after 0.5 s by itself with status 0`,
  ],
  [
    { type: "container.stopped", ...WHO, exitCode: 137, graceful: false },
    `"build" was asked to stop, and ended only by force with status 137`,
  ],
  [{ type: "container.removed", ...WHO }, `the container of "build" is gone`],
  [{ type: "container.health", ...WHO, status: "unhealthy" }, `the health check of "build" says: unhealthy`],
  [{ type: "engine.connected", engine: "embedded" }, "apex follows the engine"],
  [{ type: "engine.disconnected", error: "x" }, "apex has lost the engine, and tries again"],
  [{ type: "session.created" }, undefined],
  [{ type: "something.new" }, undefined],
];

for (const [event, words] of EVENTS) {
  Deno.test(`explainEvent() says ${JSON.stringify(words)} of ${JSON.stringify(event)}`, () => {
    assertEquals(explainEvent(event), words);
  });
}
