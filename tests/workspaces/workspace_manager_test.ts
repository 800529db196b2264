import { assertEquals } from "@std/assert";
import type { ContainerEvents } from "../../src/containers/container_events.ts";
import type { ManagerEvents } from "../../src/containers/manager_events.ts";
import { TypedEmitter } from "../../src/containers/typed_emitter.ts";
import { silentLogger } from "../../src/platform/logger.ts";
import { WorkspaceManager } from "../../src/workspaces/workspace_manager.ts";

const base = {
  containerId: "c1",
  containerName: "web",
  image: "busybox",
  timestamp: new Date(0),
  success: true,
};

Deno.test("WorkspaceManager forwards both sources in the order of their events, and lets go of both", () => {
  const manager = new TypedEmitter<ManagerEvents>(() => {});
  const health = new TypedEmitter<Pick<ContainerEvents, "container:health">>(() => {});
  const workspaces = new WorkspaceManager({ manager, health, logger: silentLogger });
  const seen: string[] = [];
  workspaces.on("container:health", (event) => seen.push(event.status));
  workspaces.on("container:started", (event) => seen.push(event.containerName));

  health.emit("container:health", { ...base, status: "starting" });
  manager.emit("container:started", base);
  health.emit("container:health", { ...base, status: "healthy" });
  assertEquals(seen, ["starting", "web", "healthy"]);

  workspaces[Symbol.dispose]();
  assertEquals([manager.listenerCount(), health.listenerCount()], [0, 0]);
});
