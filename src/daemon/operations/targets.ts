/**
 * Finds the task or the container that a client names. The target is tried in this order as a task id, one run of it
 * (`build-7@2`), the name of a container, and the id of a container. A task id is one of apex's tasks, or only a label on containers
 * that other programs created.
 */
import type { ContainerRecord } from "../../containers/container_record.ts";
import type { Task } from "../../orchestrator/task.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { OperationContext } from "./operation_context.ts";

export type TargetsOptions = Pick<OperationContext, "containers" | "orchestrator" | "workspaces" | "engine">;

/** The result: one run of a task of apex, a container, or both. */
export type Target =
  & ({ readonly task?: Task; readonly container: ContainerRecord } | {
    readonly task: Task;
    readonly container: undefined;
  })
  & { readonly resolved: ResolvedTarget };

/** How a target was resolved, for the result of an operation. */
export interface ResolvedTarget {
  /** The target that names exactly this: `build-7@2`, or a container's name. */
  target: string;
  /**
   * Further runs and containers of the task id, each usable as a target: earlier runs, the last one first, then containers of
   * other programs, newest first. Absent if the target names exactly one run or container.
   */
  others?: string[];
}

/** One run of a task id, counted from the first (`@1`) or back from the last (`@-1`). Task ids and names contain no `@`. */
const RUN = /^(.+)@(-?[1-9]\d{0,8})$/;

export class Targets {
  readonly #options: TargetsOptions;

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /**
   * A task id names its last run; if it is only a label, the newest container with it.
   *
   * @param target a task id, a task id and the number of a run, or the name, id, or unambiguous id prefix of a container
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous prefix
   */
  find(target: string): Target {
    const [last, ...earlier] = this.#options.orchestrator.taskRuns(target);
    const labelled = this.#labelled(target);
    if (last !== undefined) {
      const ofRuns = new Set([last, ...earlier].map(({ containerId }) => containerId));
      const foreign = labelled.filter(({ id }) => !ofRuns.has(id));
      return this.#ofRun(last, [...earlier.map(nameOfRun), ...namesOf(foreign)]);
    }
    const [newest, ...older] = labelled;
    if (newest !== undefined) return this.#ofContainer(newest, namesOf(older));
    const run = this.#findRun(target);
    if (run !== undefined) return this.#ofRun(run);
    const container = this.#options.containers.find(target);
    if (container === undefined) throw noSuchTarget(target);
    return this.#ofContainer(container);
  }

  /** Whether the target names a task of apex, or one run of it. */
  hasRun(target: string): boolean {
    const [, taskId = target] = RUN.exec(target) ?? [];
    return this.#options.orchestrator.taskRuns(taskId).length > 0;
  }

  /**
   * Refuses to act on a container that belongs to no running task of apex. Accepts a target that does not exist.
   *
   * @param verb for the message, `cancel` for example
   * @throws {ApexError} `conflict`, with a command to use instead
   */
  refuseUnmanaged(target: string, verb: string): void {
    const { containers, orchestrator, workspaces, engine } = this.#options;
    if (orchestrator.getTask(target) !== undefined) return;
    const container = this.#labelled(target)[0] ?? containers.find(target);
    if (container === undefined) return;
    const { id, name, taskId } = container;
    const refused = `cannot ${verb} ${JSON.stringify(target)}`;
    const task = this.#taskOf(container);
    if (task !== undefined) {
      const how = task.endedAt === undefined
        ? `it is the container of a task (try: apex ${verb} ${taskId})`
        : `it is the container of ${nameOfRun(task)}, which has ended (${task.state})`;
      throw new ApexError("conflict", `${refused}: ${how}`);
    }
    if (workspaces.orphans().some(({ containerId }) => containerId === id)) {
      const advice = `remove it with: apex workspaces clean ${name}`;
      throw new ApexError("conflict", `${refused}: container ${name} belongs to no known task (${advice})`);
    }
    const instance = workspaces.foreign().find(({ containerId }) => containerId === id)?.instance;
    if (instance !== undefined) {
      const advice = `ask that instance's daemon to ${verb} it`;
      throw new ApexError(
        "conflict",
        `${refused}: container ${name} belongs to another apex instance (${instance}; ${advice})`,
      );
    }
    const cli = engine.current.kind === "podman" ? "podman" : "docker";
    throw new ApexError(
      "conflict",
      `${refused}: container ${name} is not managed by apex (stop it with: ${cli} stop ${name})`,
    );
  }

  #ofRun(task: Task, others: readonly string[] = []): Target {
    const { containerId } = task;
    const container = containerId === undefined ? undefined : this.#options.containers.find(containerId);
    return { task, container, resolved: resolvedTarget(nameOfRun(task), others) };
  }

  #ofContainer(container: ContainerRecord, others: readonly string[] = []): Target {
    const task = this.#taskOf(container);
    return { container, ...(task && { task }), resolved: resolvedTarget(container.name, others) };
  }

  /** @throws {ApexError} `not_found` if a known task id does not have this run, or no longer has it */
  #findRun(target: string): Task | undefined {
    const [, taskId, number] = RUN.exec(target) ?? [];
    if (taskId === undefined) return undefined;
    const runs = this.#options.orchestrator.taskRuns(taskId);
    if (runs.length === 0) return undefined;
    const run = Number(number);
    const found = run < 0 ? runs[-run] : runs.find((each) => each.run === run);
    if (found !== undefined) return found;
    const known = runs.map(nameOfRun).reverse().join(", ");
    throw new ApexError("not_found", `no such run: ${JSON.stringify(target)} (known: ${known})`);
  }

  /** The run of a task that this container belongs to, or belonged to. */
  #taskOf({ id, taskId }: ContainerRecord): Task | undefined {
    if (taskId === undefined) return undefined;
    return this.#options.orchestrator.taskRuns(taskId).find(({ containerId }) => containerId === id);
  }

  /** Containers with this task id on their label, newest first. */
  #labelled(taskId: string): ContainerRecord[] {
    return this.#options.containers.list()
      .filter((container) => container.taskId === taskId)
      .sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0));
  }
}

function resolvedTarget(target: string, others: readonly string[]): ResolvedTarget {
  return { target, ...(others.length > 0 && { others: [...others] }) };
}

function nameOfRun({ taskId, run }: Task): string {
  return `${taskId}@${run}`;
}

function namesOf(containers: readonly ContainerRecord[]): string[] {
  return containers.map(({ name }) => name);
}

function noSuchTarget(target: string): ApexError {
  return new ApexError(
    "not_found",
    `no such task or container: ${JSON.stringify(target)} (see: apex tasks --all, apex ps)`,
  );
}
