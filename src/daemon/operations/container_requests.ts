/** The operations `containers.list` and `containers.inspect`. */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { ContainersListResult, ControlReply, ControlRequestOf } from "../../protocol/control.ts";
import type { EngineStatus } from "../engine_status.ts";
import type { KeptTaskOutput } from "./kept_task_output.ts";
import { type SnapshotContainer, snapshotContainer } from "./snapshot_state.ts";
import type { Targets } from "./targets.ts";
import { containerResult, taskResult } from "./wire_results.ts";

export interface ContainerRequestsOptions {
  readonly containers: ContainerManager;
  readonly targets: Targets;
  readonly engine: EngineStatus;
  readonly kept: KeptTaskOutput;
}

export class ContainerRequests {
  readonly #options: ContainerRequestsOptions;

  constructor(options: ContainerRequestsOptions) {
    this.#options = options;
  }

  list(): ControlReply {
    const { engine } = this.#options;
    const result: ContainersListResult = {
      containers: this.#options.containers.list().map(containerResult),
      engine: engine.current.state === "connected" ? "connected" : "disconnected",
    };
    return { ok: true, result };
  }

  /** What events have told of them by now, for a snapshot. */
  told(): SnapshotContainer[] {
    return this.#options.containers.list().map(snapshotContainer);
  }

  /**
   * Of a task whose container is gone, what is left: the task, and how much of its output is kept.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id; the engine's reason
   */
  async inspect(
    { target }: ControlRequestOf<"containers.inspect">,
    signal: AbortSignal,
  ): Promise<ControlReply> {
    const { container, task, name, others } = this.#options.targets.find(target);
    const output = container === undefined ? this.#options.kept.facts(task) : undefined;
    const result = {
      target: name,
      engine: container === undefined ? {} : await this.#options.containers.inspect(container.id, signal),
      ...(container && { container: containerResult(container) }),
      ...(task && { task: taskResult(task) }),
      ...(output && { output }),
      ...(others.length > 0 && { others }),
    };
    return { ok: true, result };
  }
}
