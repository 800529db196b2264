import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";
import type { OrphanedWorkspace } from "../workspaces/workspace.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";

export interface TaskAdoptionOptions {
  /** The container manager, whose event says that the engine's containers are known. */
  readonly containers: {
    once(name: "engine:connected", listener: () => void): unknown;
    off(name: "engine:connected", listener: () => void): unknown;
  };
  readonly orchestrator: Pick<ApexOrchestrator, "adopt" | "keepsContainer">;
  readonly workspaces: Pick<WorkspaceManager, "orphans">;
  readonly logger: Logger;
}

const MAX_SHOWN_ORPHANS = 5;

/**
 * Starts the adoption of an earlier daemon's tasks when the engine is connected for the first time, and then logs which
 * containers of tasks are orphans.
 */
export class TaskAdoption implements Disposable {
  readonly #options: TaskAdoptionOptions;
  readonly #settled = Promise.withResolvers<void>();
  #error: string | undefined;

  constructor(options: TaskAdoptionOptions) {
    this.#options = options;
    options.containers.once("engine:connected", this.#adopt);
  }

  /** Resolves when the tasks are adopted, or the adoption has failed: {@linkcode error} is then the reason. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  get error(): string | undefined {
    return this.#error;
  }

  /** An adoption that has begun ends when the orchestrator is disposed: an engine that does not answer must not delay that. */
  [Symbol.dispose](): void {
    this.#options.containers.off("engine:connected", this.#adopt);
  }

  readonly #adopt = (): void => {
    void this.#options.orchestrator.adopt().then(() => this.#logOrphans(), (error) => {
      this.#error = messageOf(error);
      this.#options.logger.error(`cannot adopt the tasks of the last daemon: ${this.#error}`);
    }).finally(this.#settled.resolve);
  };

  #logOrphans(): void {
    const names = orphansOf(this.#options).map(({ containerName }) => containerName);
    if (names.length === 0) return;
    const shown = names.slice(0, MAX_SHOWN_ORPHANS).join(", ") +
      (names.length > MAX_SHOWN_ORPHANS ? ", …" : "");
    this.#options.logger.warn(
      `containers of unknown tasks: ${shown} (${names.length}; remove them with: apex workspaces clean)`,
    );
  }
}

/** The containers that apex created for tasks and that belong to no task, without those that a task asked to keep. */
export function orphansOf(
  { workspaces, orchestrator }: {
    readonly workspaces: Pick<WorkspaceManager, "orphans">;
    readonly orchestrator: Pick<ApexOrchestrator, "keepsContainer">;
  },
): OrphanedWorkspace[] {
  return workspaces.orphans().filter(({ containerId }) => !orchestrator.keepsContainer(containerId));
}
