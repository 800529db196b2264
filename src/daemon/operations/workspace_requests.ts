/** The operations `workspaces.*`. */
import type { ControlRequestOf } from "../../protocol/operations.ts";
import { NO_INSTANCE } from "../../protocol/task_operations.ts";
import type { AnswerOf } from "../control_socket/answer.ts";
import { orphansOf } from "../task_adoption.ts";
import type { OperationContext } from "./operation_context.ts";
import { unclaimedResult, workspaceResult } from "./wire_results.ts";

export type WorkspaceRequestsOptions = Pick<OperationContext, "workspaces" | "orchestrator">;

export class WorkspaceRequests {
  readonly #options: WorkspaceRequestsOptions;

  constructor(options: WorkspaceRequestsOptions) {
    this.#options = options;
  }

  /** The workspaces of tasks that have not ended, then orphaned and kept ones, then, with `all`, those of other instances. */
  list({ all = false }: ControlRequestOf<"workspaces.list">): AnswerOf<"workspaces.list"> {
    const { workspaces, orchestrator } = this.#options;
    const { instance } = workspaces;
    const inUse = workspaces.list().map((workspace) =>
      workspaceResult(workspace, { instance, container: workspaces.containerOf(workspace) })
    );
    const unclaimed = workspaces.orphans().map((workspace) =>
      unclaimedResult(workspace, orchestrator.keepsContainer(workspace.containerId) ? "kept" : "orphaned")
    );
    const foreign = all ? workspaces.foreign().map((workspace) => unclaimedResult(workspace, "foreign")) : [];
    return { result: { workspaces: [...inUse, ...unclaimed, ...foreign] } };
  }

  /**
   * Removes the orphans, or the named containers: kept ones are removed only by name. With another `instance`, removes the
   * containers that it created for tasks, running or not. A failed removal does not stop the others.
   */
  async clean(
    { names, instance }: ControlRequestOf<"workspaces.clean">,
  ): Promise<AnswerOf<"workspaces.clean">> {
    const { workspaces } = this.#options;
    if (instance !== undefined && instance !== workspaces.instance) {
      const of = workspaces.foreign().filter((workspace) => (workspace.instance ?? NO_INSTANCE) === instance);
      return { result: await workspaces.removeOrphans(names, { of }) };
    }
    const chosen = names ?? orphansOf(this.#options).map(({ containerId }) => containerId);
    return { result: await workspaces.removeOrphans(chosen) };
  }
}
