/**
 * Resumes the tasks of an earlier process. The state of each follows from its row, the registry of containers and, if
 * necessary, the engine.
 */
import type { ContainerRecord } from "../containers/container_record.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { Logger } from "../platform/logger.ts";
import type { OrphanedWorkspace, Workspace } from "../workspaces/workspace.ts";
import type { WorkspaceManager } from "../workspaces/workspace_manager.ts";
import { dateOf, exitOfCode, exitOfState, type TaskExit } from "./task_end.ts";
import type { TaskRun } from "./task_run.ts";
import { cleanupPolicyOf } from "./task_spec.ts";

export interface ResumeOptions {
  readonly workspaces: WorkspaceManager;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly abort: AbortSignal;
  /** Called with work in the background, for which disposal waits. */
  readonly track: (work: Promise<void>) => void;
}

/** A run that can be resumed only when everything that happened before was published. */
interface UndecidedRun {
  readonly run: TaskRun;
  /** Stops expecting a container that may or may not have been created. */
  readonly stopExpecting?: () => void;
}

/**
 * If the registry was restored from storage, it shows the containers as they were last published, and the later events are
 * still to come. Then running tasks continue until those events arrive, and the other tasks are decided after all of them.
 *
 * @param runs in the order of their creation
 */
export async function resumeTasks(runs: readonly TaskRun[], options: ResumeOptions): Promise<void> {
  const { workspaces, abort } = options;
  // This block is synchronous, so that each event of the engine finds the run that it is about.
  const candidates = candidatesOf(workspaces);
  const underWay: Promise<void>[] = [];
  const undecided: UndecidedRun[] = [];
  for (const run of runs) {
    const container = containerOf(run, candidates);
    if (container !== undefined) adopt(run, container, workspaces);
    if (run.phase === "ended") underWay.push(cleanUp(run, options));
    else if (container !== undefined && isUp(container) && run.task.state === "running") run.resumeRunning();
    else if (container !== undefined || workspaces.isCaughtUp) undecided.push({ run });
    else undecided.push({ run, stopExpecting: workspaces.expect(workspaceOf(run)) });
  }
  if (undecided.length > 0 && !workspaces.isCaughtUp) await workspaces.untilCaughtUp(abort);
  if (abort.aborted) return;
  underWay.push(...decide(undecided, options));
  await Promise.all(underWay);
}

/** Waits until the registry is up to date: the removal of a container that no longer exists would fail. */
async function cleanUp(run: TaskRun, { workspaces, abort, track }: ResumeOptions): Promise<void> {
  if (!workspaces.isCaughtUp) await workspaces.untilCaughtUp(abort);
  if (abort.aborted) return;
  const cleanedUp = run.cleanup.run();
  // A client may read the output for minutes.
  if (run.record.outputAwaited) track(cleanedUp);
  else await cleanedUp;
}

/** Running tasks take their slots first. The queued ones share what is left. */
function decide(undecided: readonly UndecidedRun[], options: ResumeOptions): Promise<void>[] {
  const { workspaces } = options;
  const candidates = candidatesOf(workspaces);
  const found = undecided.map(({ run, stopExpecting }) => {
    stopExpecting?.();
    const { taskId } = run.task;
    if (run.phase === "stored" && workspaces.get(taskId) === undefined) {
      const container = containerOf(run, candidates);
      if (container !== undefined) adopt(run, container, workspaces);
    }
    return { run, record: workspaces.container(taskId) };
  });
  // An event has started the run during the wait.
  for (const { run } of found) if (run.phase === "running") run.resumeRunning();
  const stored = found.filter(({ run }) => run.phase === "stored");
  const underWay: Promise<void>[] = [];
  for (const { run, record } of stored) {
    if (record !== undefined) underWay.push(resumeWithContainer(run, record, options));
  }
  for (const { run, record } of stored) if (record === undefined) resumeWithoutContainer(run);
  return underWay;
}

function workspaceOf({ task, record }: TaskRun): Pick<Workspace, "taskId" | "workspacePath" | "policy"> {
  const { taskId, workspacePath } = task;
  return definedFields({ taskId, workspacePath, policy: cleanupPolicyOf(record.spec) });
}

function adopt(run: TaskRun, container: OrphanedWorkspace, workspaces: WorkspaceManager): void {
  const { containerId, containerName } = container;
  workspaces.adopt({ ...workspaceOf(run), containerId, containerName });
  if (run.phase !== "ended") run.onCreated(containerId);
}

function isUp({ state }: { readonly state: string }): boolean {
  return state === "running" || state === "paused";
}

/** The containers that may belong to a stored task. */
interface Candidates {
  /** For rows with a container id: the engine gave that id to this instance, so the label need not be checked. */
  readonly byId: ReadonlyMap<string, OrphanedWorkspace>;
  /** For the other rows: containers with the label of this instance. */
  readonly orphans: readonly OrphanedWorkspace[];
}

function candidatesOf(workspaces: WorkspaceManager): Candidates {
  const orphans = workspaces.orphans();
  const all = [...orphans, ...workspaces.foreign()];
  return { byId: new Map(all.map((workspace) => [workspace.containerId, workspace])), orphans };
}

/** The container with the id of the row. If the row has no id: the newest one with the task's label, not older than the task. */
function containerOf(run: TaskRun, { byId, orphans }: Candidates): OrphanedWorkspace | undefined {
  const { taskId, containerId, createdAt } = run.task;
  if (containerId !== undefined) return byId.get(containerId);
  // Engines list the time of creation in whole seconds.
  const sinceMs = Math.floor(createdAt.getTime() / 1_000) * 1_000;
  return orphans
    .filter((orphan) => orphan.taskId === taskId && (orphan.createdAt?.getTime() ?? sinceMs) >= sinceMs)
    .sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0))[0];
}

function resumeWithoutContainer(run: TaskRun): void {
  const { state, containerId } = run.task;
  const neverHadOne = state === "pending" && containerId === undefined;
  if (neverHadOne && run.record.stopCause === undefined) run.enqueue();
  else run.endWithoutExit();
}

async function resumeWithContainer(
  run: TaskRun,
  container: ContainerRecord,
  { workspaces, clock, logger }: ResumeOptions,
): Promise<void> {
  const { taskId } = run.task;
  if (container.state === "created") {
    if (run.record.stopCause === undefined) run.enqueue({ hasContainer: true });
    else run.endWithoutExit();
    return;
  }
  await run.resumeStarted(async () => {
    const now = new Date(clock.now());
    try {
      const { State } = await workspaces.inspect(taskId);
      const startedAt = dateOf(State.StartedAt) ?? now;
      return State.Running ? { startedAt } : { startedAt, exit: exitOfState(State, now) };
    } catch (error) {
      logger.warn(`cannot inspect the container of task ${taskId}: ${messageOf(error)}`);
      const record = workspaces.container(taskId);
      const startedAt = run.task.startedAt ?? record?.startedAt ?? now;
      const exit: TaskExit = exitOfCode(record?.exitCode, record?.endedAt ?? now);
      return isUp(container) ? { startedAt } : { startedAt, exit };
    }
  });
}
