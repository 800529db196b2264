/** The operations `workspaces.*`. */
import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import type { ControlReply, ControlRequestOf } from "../protocol/control.ts";
import type { OrphanedWorkspace } from "../workspaces/workspace.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import { abandonedResult, workspaceResult } from "./wire_results.ts";

export interface WorkspaceRequestsOptions {
  readonly workspaces: WorkspaceManager;
  readonly orchestrator: ApexOrchestrator;
}

export class WorkspaceRequests {
  readonly #workspaces: WorkspaceManager;
  readonly #orchestrator: ApexOrchestrator;

  constructor({ workspaces, orchestrator }: WorkspaceRequestsOptions) {
    this.#workspaces = workspaces;
    this.#orchestrator = orchestrator;
  }

  /** Those of tasks that have not ended, then those that no task needs. */
  list(): ControlReply {
    const inUse = this.#workspaces.list()
      .map((workspace) => workspaceResult(workspace, this.#workspaces.container(workspace.taskId)));
    const abandoned = this.#workspaces.orphans()
      .map((workspace) => abandonedResult(workspace, { kept: this.#isKept(workspace) }));
    return { ok: true, result: { workspaces: [...inUse, ...abandoned] } };
  }

  /**
   * Removes orphans, or those that are named; what was kept on purpose is removed by its name only. One that cannot be
   * removed keeps none of the others. @throws {ApexError} `not_found` for a name of nothing that may be removed
   */
  async clean({ names }: ControlRequestOf<"workspaces.clean">): Promise<ControlReply> {
    const orphans = () => this.#workspaces.orphans().filter((workspace) => !this.#isKept(workspace));
    const chosen = names ?? orphans().map(({ containerId }) => containerId);
    return { ok: true, result: await this.#workspaces.removeOrphans(chosen) };
  }

  #isKept({ taskId, containerId }: OrphanedWorkspace): boolean {
    return this.#orchestrator.keepsContainer(taskId, containerId);
  }
}
