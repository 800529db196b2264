/** Signals to tasks on a real engine. */
import { assertEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { storyOf, TaskLayers } from "../support/containers/task_layers.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";

Deno.test("signalTask() to a command that has just ended is no failure, told or not", async () => {
  await using engine = await TestEngine.start();
  await using layers = await TaskLayers.start({ socketPath: engine.socketPath });
  const handle = layers.run("exec sleep 600", { taskId: "t" });
  await layers.startOf(handle);
  // Somebody else's, which may be a stop: the end is told when no stop has come.
  await layers.byHand("POST", "t", "/kill?signal=INT");
  await layers.byHand("POST", "t", "/wait");
  for (let impatience = 0; impatience < 3; impatience++) {
    try {
      await layers.orchestrator.signalTask("t", "SIGINT");
    } catch (error) {
      // On a machine that is slow beyond measure its end was told before.
      if (!(error instanceof ApexError && error.code === "conflict" && /has ended/.test(error.message))) {
        throw error;
      }
    }
  }
  await layers.endOf(handle);
  assertEquals(await layers.until("t", "workspace-cleaned"), storyOf("task:failed signal"));
  const late = layers.orchestrator.signalTask("t", "SIGINT");
  await assertRejects(() => late, ApexError, "it has ended");
  assertEquals(layers.of("t"), storyOf("task:failed signal"));
});
