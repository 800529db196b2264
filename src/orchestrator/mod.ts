/** The part of apex that other programs embed. */
export * from "./apex_orchestrator.ts";
export type * from "./task.ts";
export type * from "./task_events.ts";
export { WorkspaceManager } from "../workspaces/workspace_manager.ts";
export type * from "../workspaces/workspace.ts";
export { ContainerManager, type ContainerManagerOptions } from "../containers/container_manager.ts";
export { ContainerHealthMonitor } from "../containers/health/container_health_monitor.ts";
export type { ContainerRecord } from "../containers/container_record.ts";
export type * from "../containers/changes/container_events.ts";
export { openStorage, type Storage } from "../storage/storage.ts";
export {
  type OpenOrchestrator,
  openOrchestrator,
  type OpenOrchestratorOptions,
} from "./open_orchestrator.ts";
export type { HealthWatchOptions } from "../containers/health/health_watch_options.ts";
