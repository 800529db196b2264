/** The operations `workspaces.*`. */
import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import type { ControlReply, ControlRequestOf } from "../protocol/control.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import { orphansOf } from "./orphans.ts";
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
      .map((workspace) => workspaceResult(workspace, this.#workspaces.containerOf(workspace)));
    const abandoned = this.#workspaces.orphans().map((workspace) =>
      abandonedResult(workspace, { kept: this.#orchestrator.keepsContainer(workspace.containerId) })
    );
    return { ok: true, result: { workspaces: [...inUse, ...abandoned] } };
  }

  /**
   * Removes orphans, or those that are named; what was kept on purpose is removed by its name only. One that cannot be
   * removed keeps none of the others. @throws {ApexError} `not_found` for a name of nothing that may be removed
   */
  async clean({ names }: ControlRequestOf<"workspaces.clean">): Promise<ControlReply> {
    const orphans = { workspaces: this.#workspaces, orchestrator: this.#orchestrator };
    const chosen = names ?? orphansOf(orphans).map(({ containerId }) => containerId);
    return { ok: true, result: await this.#workspaces.removeOrphans(chosen) };
  }
}
