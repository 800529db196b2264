import { assertEquals } from "@std/assert";
import { TaskAdoption } from "../../src/daemon/task_adoption.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { EmittedManager } from "../support/containers/emitted_manager.ts";
import { within } from "../support/within.ts";

const orphan = (taskId: string) => ({
  taskId,
  containerId: `id-${taskId}`,
  containerName: `apex-task-${taskId}`,
  state: "exited",
});
const orphans = () => [orphan("t1"), orphan("kept")];
const keepsContainer = (containerId: string) => containerId === "id-kept";

const connected = { engine: "docker", version: "1", timestamp: new Date() } as const;

Deno.test("TaskAdoption adopts the tasks once, at the engine's first connection", async () => {
  const containers = new EmittedManager();
  let adoptions = 0;
  const adopt = () => {
    adoptions++;
    return Promise.reject(new Error("no such luck"));
  };
  using adoption = new TaskAdoption({
    containers,
    orchestrator: { adopt, keepsContainer },
    workspaces: { orphans },
    logger: silentLogger,
  });
  containers.emit("engine:connected", connected);
  containers.emit("engine:connected", connected);
  await within(5_000, "its end", adoption.settled);
  assertEquals([adoptions, adoption.error], [1, "no such luck"]);
});

Deno.test("TaskAdoption does not wait for a running adoption when it is disposed", () => {
  const containers = new EmittedManager();
  const adopt = () => new Promise<void>(() => {});
  {
    using _adoption = new TaskAdoption({
      containers,
      orchestrator: { adopt, keepsContainer },
      workspaces: { orphans },
      logger: silentLogger,
    });
    containers.emit("engine:connected", connected);
  }
  {
    using _adoption = new TaskAdoption({
      containers,
      orchestrator: { adopt, keepsContainer },
      workspaces: { orphans },
      logger: silentLogger,
    });
  }
  assertEquals(containers.listenerCount(), 0);
});

Deno.test("TaskAdoption logs the orphaned containers after the adoption, without kept ones", async () => {
  const containers = new EmittedManager();
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const adopt = () => Promise.resolve();
  using adoption = new TaskAdoption({
    containers,
    orchestrator: { adopt, keepsContainer },
    workspaces: { orphans },
    logger,
  });
  containers.emit("engine:connected", connected);
  await within(5_000, "its end", adoption.settled);
  assertEquals(warnings, [
    "containers of unknown tasks: apex-task-t1 (1; remove them with: apex workspaces clean)",
  ]);
});
