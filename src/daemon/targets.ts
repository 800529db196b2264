/**
 * Which task or container a client names. A task's id wins over a container's name, and that over a container's id. A task
 * id may be one that apex runs, or only a label on containers that other programs created.
 */
import type { ContainerManager } from "../containers/container_manager.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import type { Task } from "../orchestrator/task.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import type { EngineStatus } from "./engine_status.ts";

export interface TargetsOptions {
  readonly containers: Pick<ContainerManager, "find" | "list">;
  readonly orchestrator: Pick<ApexOrchestrator, "getTask">;
  readonly workspaces: Pick<WorkspaceManager, "orphans">;
  readonly engine: Pick<EngineStatus, "current">;
}

/** What a target turned out to be: a task that apex runs or ran, a container, or both. */
export type Target = TargetSubject & {
  /** Other containers of the same task id, by name, newest first; empty when the target names one container exactly. */
  readonly others: readonly string[];
};

type TargetSubject =
  | { readonly task?: Task; readonly container: ContainerRecord }
  | { readonly task: Task; readonly container: undefined };

export class Targets {
  readonly #options: TargetsOptions;

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /**
   * Of several containers with the label of one task id, which no task of apex has, it is the one created last.
   *
   * @param target a task's id, or a container's name, id, or unambiguous prefix of that
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous prefix
   */
  find(target: string): Target {
    const { containers, orchestrator } = this.#options;
    const task = orchestrator.getTask(target);
    const labelled = this.#labelled(target);
    if (task !== undefined) {
      const { containerId } = task;
      const container = containerId === undefined ? undefined : containers.find(containerId);
      return { task, container, others: namesOf(labelled.filter(({ id }) => id !== containerId)) };
    }
    const [newest, ...others] = labelled;
    if (newest !== undefined) return { container: newest, others: namesOf(others) };
    const container = containers.find(target);
    if (container === undefined) throw noSuchTarget(target);
    return { container, others: [] };
  }

  /**
   * Refuses to act on a container that no task of apex has. A target that names nothing passes.
   *
   * @param verb for the message, `cancel` for example
   * @throws {ApexError} `conflict`, with what to do instead
   */
  refuseUnmanaged(target: string, verb: string): void {
    const { containers, orchestrator, workspaces, engine } = this.#options;
    if (orchestrator.getTask(target) !== undefined) return;
    const container = this.#labelled(target)[0] ?? containers.find(target);
    if (container === undefined) return;
    const { id, name, taskId } = container;
    const refused = `cannot ${verb} ${JSON.stringify(target)}`;
    const task = taskId === undefined ? undefined : orchestrator.getTask(taskId);
    if (task?.containerId === id) {
      throw new ApexError(
        "conflict",
        `${refused}: it is the container of a task (try: apex ${verb} ${taskId})`,
      );
    }
    if (workspaces.orphans().some(({ containerId }) => containerId === id)) {
      const advice = `remove it with: apex workspaces clean ${name}`;
      throw new ApexError("conflict", `${refused}: container ${name} belongs to no known task (${advice})`);
    }
    const cli = engine.current.kind === "podman" ? "podman" : "docker";
    throw new ApexError(
      "conflict",
      `${refused}: container ${name} is not managed by apex (stop it with: ${cli} stop ${name})`,
    );
  }

  /** Containers of that task id, newest first. */
  #labelled(taskId: string): ContainerRecord[] {
    return this.#options.containers.list()
      .filter((container) => container.taskId === taskId)
      .sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0));
  }
}

function namesOf(containers: readonly ContainerRecord[]): string[] {
  return containers.map(({ name }) => name);
}

function noSuchTarget(target: string): ApexError {
  return new ApexError(
    "not_found",
    `no such task or container: ${JSON.stringify(target)} (try: apex tasks --all, apex ps)`,
  );
}
