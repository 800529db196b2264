/** The part of apex that other programs embed. */
export { type AnyContainerEvent, type AnyContainerListener, ApexOrchestrator } from "./apex_orchestrator.ts";
export { WorkspaceManager } from "../workspaces/workspace_manager.ts";
export { ContainerManager, type ContainerManagerOptions } from "../containers/container_manager.ts";
export { ContainerHealthMonitor } from "../containers/container_health_monitor.ts";
export type { ContainerRecord } from "../containers/container_record.ts";
export type * from "../containers/container_events.ts";
