import type { ApexOrchestrator } from "../orchestrator/apex_orchestrator.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Logger } from "../platform/logger.ts";
import type { OrphanedWorkspace } from "../workspaces/workspace.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";

export interface TaskAdoptionOptions {
  /** The container manager, as far as it tells that the engine's containers are known. */
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
 * Has the tasks of an earlier daemon taken up, as soon as the engine has told of its containers for the first time, and
 * says which containers are nobody's then.
 */
export class TaskAdoption implements Disposable {
  readonly #options: TaskAdoptionOptions;
  readonly #settled = Promise.withResolvers<void>();
  #error: string | undefined;

  constructor(options: TaskAdoptionOptions) {
    this.#options = options;
    options.containers.once("engine:connected", this.#adopt);
  }

  /** Resolves when they are taken up, or could not be: {@linkcode error} then says why. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  get error(): string | undefined {
    return this.#error;
  }

  /** What has begun is ended by the orchestrator's disposal: an engine that does not answer must not hold up that. */
  [Symbol.dispose](): void {
    this.#options.containers.off("engine:connected", this.#adopt);
  }

  readonly #adopt = (): void => {
    void this.#options.orchestrator.adopt().then(() => this.#tellOfOrphans(), (error) => {
      this.#error = messageOf(error);
      this.#options.logger.error(`the tasks of the last daemon could not be taken up: ${this.#error}`);
    }).finally(this.#settled.resolve);
  };

  #tellOfOrphans(): void {
    const names = orphansOf(this.#options).map(({ containerName }) => containerName);
    if (names.length === 0) return;
    const shown = names.slice(0, MAX_SHOWN_ORPHANS).join(", ") +
      (names.length > MAX_SHOWN_ORPHANS ? ", …" : "");
    this.#options.logger.warn(
      `containers of unknown tasks: ${shown} (${names.length}; remove them with: apex workspaces clean)`,
    );
  }
}

export interface OrphansOptions {
  readonly workspaces: Pick<WorkspaceManager, "orphans">;
  readonly orchestrator: Pick<ApexOrchestrator, "keepsContainer">;
}

/** Containers that apex made for tasks and that no task has; one that was kept on purpose is none. */
export function orphansOf({ workspaces, orchestrator }: OrphansOptions): OrphanedWorkspace[] {
  return workspaces.orphans().filter(({ containerId }) => !orchestrator.keepsContainer(containerId));
}
