/** The operations `workspaces.*`. */
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import { type ControlReply, type ControlRequestOf, NO_INSTANCE } from "../../protocol/control.ts";
import type { WorkspaceManager } from "../../workspaces/workspace_manager.ts";
import { orphansOf } from "../task_adoption.ts";
import { unclaimedResult, workspaceResult } from "./wire_results.ts";

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

  /** Those of tasks that have not ended, then those that no task needs, then, where asked for, other instances'. */
  list({ all = false }: ControlRequestOf<"workspaces.list">): ControlReply {
    const { instance } = this.#workspaces;
    const inUse = this.#workspaces.list().map((workspace) =>
      workspaceResult(workspace, { instance, container: this.#workspaces.containerOf(workspace) })
    );
    const abandoned = this.#workspaces.orphans().map((workspace) =>
      unclaimedResult(
        workspace,
        this.#orchestrator.keepsContainer(workspace.containerId) ? "kept" : "orphaned",
      )
    );
    const foreign = all
      ? this.#workspaces.foreign().map((workspace) => unclaimedResult(workspace, "foreign"))
      : [];
    return { ok: true, result: { workspaces: [...inUse, ...abandoned, ...foreign] } };
  }

  /**
   * Removes orphans, or those that are named; what was kept on purpose is removed by its name only. Of another instance,
   * removes whatever it created for tasks, running or not. One that cannot be removed keeps none of the others.
   */
  async clean({ names, instance }: ControlRequestOf<"workspaces.clean">): Promise<ControlReply> {
    if (instance !== undefined && instance !== this.#workspaces.instance) {
      const of = this.#workspaces.foreign().filter((workspace) =>
        (workspace.instance ?? NO_INSTANCE) === instance
      );
      return { ok: true, result: await this.#workspaces.removeOrphans(names, { of }) };
    }
    const orphans = { workspaces: this.#workspaces, orchestrator: this.#orchestrator };
    const chosen = names ?? orphansOf(orphans).map(({ containerId }) => containerId);
    return { ok: true, result: await this.#workspaces.removeOrphans(chosen) };
  }
}
