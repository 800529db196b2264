import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import type { OrphanedWorkspace } from "../workspaces/workspace.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";

export interface OrphansOptions {
  readonly workspaces: Pick<WorkspaceManager, "orphans">;
  readonly orchestrator: Pick<ApexOrchestrator, "keepsContainer">;
}

/** Containers that apex made for tasks and that no task has; one that was kept on purpose is none. */
export function orphansOf({ workspaces, orchestrator }: OrphansOptions): OrphanedWorkspace[] {
  return workspaces.orphans().filter(({ containerId }) => !orchestrator.keepsContainer(containerId));
}
