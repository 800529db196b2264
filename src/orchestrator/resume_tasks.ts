/** Tasks of an earlier life: where each of them stands now, from its row, the registry and, where need be, the engine. */
import type { ContainerRecord } from "../containers/container_record.ts";
import { messageOf } from "../platform/apex_error.ts";
import type { Clock } from "../platform/clock.ts";
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
  /** Gives up. */
  readonly signal: AbortSignal;
}

/**
 * Where the registry is from an earlier life, it stands as it was last told, and what happened since is still to be told:
 * those that ran go on until their containers' events come, and what these do not decide is decided when all are told.
 *
 * @param runs in the order of their creation
 */
export async function resumeTasks(runs: readonly TaskRun[], options: ResumeOptions): Promise<void> {
  const { workspaces, signal } = options;
  // One synchronous block: from here on the engine's events find the runs that they are about.
  const candidates = candidatesOf(workspaces);
  const underWay: Promise<void>[] = [];
  const undecided: { readonly run: TaskRun; readonly unexpect?: () => void }[] = [];
  for (const run of runs) {
    const container = containerOf(run, candidates);
    if (container !== undefined) adopt(run, container, workspaces);
    if (run.phase === "ended") underWay.push(cleanUp(run, options));
    else if (container !== undefined && isUp(container) && run.task.state === "running") run.goOn();
    else if (container !== undefined || workspaces.isCaughtUp) undecided.push({ run });
    else undecided.push({ run, unexpect: workspaces.expect(facts(run)) });
  }
  if (undecided.length > 0 && !workspaces.isCaughtUp) await workspaces.untilCaughtUp(signal);
  if (signal.aborted) return;
  underWay.push(...decide(undecided, options));
  await Promise.all(underWay);
}

/** Of a container that is gone untold, the removal would fail, and be told as a failure. */
async function cleanUp(run: TaskRun, { workspaces, signal }: ResumeOptions): Promise<void> {
  if (!workspaces.isCaughtUp) await workspaces.untilCaughtUp(signal);
  if (signal.aborted) return;
  // Its output is still to be read: others are not to wait for that.
  if (run.record.outputAwaited) run.cleanUpMeanwhile();
  else await run.cleanUp();
}

/** What runs has its turn already; only then is it known who of the others gets one. */
function decide(
  undecided: readonly { readonly run: TaskRun; readonly unexpect?: () => void }[],
  options: ResumeOptions,
): Promise<void>[] {
  const { workspaces } = options;
  const candidates = candidatesOf(workspaces);
  const found = undecided.map(({ run, unexpect }) => {
    unexpect?.();
    const isTold = run.phase !== "stored";
    const container = isTold || workspaces.get(run.task.taskId) !== undefined
      ? undefined
      : containerOf(run, candidates);
    if (container !== undefined) adopt(run, container, workspaces);
    return { run, record: workspaces.container(run.task.taskId) };
  });
  // Started by an event meanwhile.
  for (const { run } of found) if (run.phase === "running") run.goOn();
  const stored = found.filter(({ run }) => run.phase === "stored");
  const withContainer = stored.filter(({ record }) => record !== undefined);
  const underWay = withContainer.map(({ run, record }) => resumeWithContainer(run, record!, options));
  for (const { run, record } of stored) if (record === undefined) resumeWithout(run);
  return underWay;
}

function facts(run: TaskRun): Pick<Workspace, "taskId" | "workspacePath" | "policy"> {
  const { taskId, workspacePath } = run.task;
  return {
    taskId,
    ...(workspacePath !== undefined && { workspacePath }),
    policy: cleanupPolicyOf(run.record.spec),
  };
}

function adopt(run: TaskRun, container: OrphanedWorkspace, workspaces: WorkspaceManager): void {
  const { containerId, containerName } = container;
  workspaces.adopt({ ...facts(run), containerId, containerName });
  if (run.phase !== "ended") run.created(containerId);
}

function isUp({ state }: { readonly state: string }): boolean {
  return state === "running" || state === "paused";
}

/** The containers that may be a stored task's. */
interface Candidates {
  /** By id: those whose id its row has. The engine gave that id to this instance, so the label need not say so. */
  readonly byId: ReadonlyMap<string, OrphanedWorkspace>;
  /** By label: those that this instance created. */
  readonly orphans: readonly OrphanedWorkspace[];
}

function candidatesOf(workspaces: WorkspaceManager): Candidates {
  const orphans = workspaces.orphans();
  const all = [...orphans, ...workspaces.foreign()];
  return { byId: new Map(all.map((workspace) => [workspace.containerId, workspace])), orphans };
}

/** By its id; where that was not learned, by label: the newest, and none that is older than the task. */
function containerOf(run: TaskRun, { byId, orphans }: Candidates): OrphanedWorkspace | undefined {
  const { taskId, containerId, createdAt } = run.task;
  if (containerId !== undefined) return byId.get(containerId);
  // Engines list the time of creation in whole seconds.
  const sinceMs = Math.floor(createdAt.getTime() / 1_000) * 1_000;
  return orphans
    .filter((orphan) => orphan.taskId === taskId && (orphan.createdAt?.getTime() ?? sinceMs) >= sinceMs)
    .sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0))[0];
}

function resumeWithout(run: TaskRun): void {
  const { state, containerId } = run.task;
  const neverHadOne = state === "pending" && containerId === undefined;
  if (neverHadOne && run.record.stopCause === undefined) run.waitForTurn();
  else run.endWithoutExit();
}

async function resumeWithContainer(
  run: TaskRun,
  container: ContainerRecord,
  { workspaces, clock, logger }: ResumeOptions,
): Promise<void> {
  const { taskId } = run.task;
  if (container.state === "created") {
    if (run.record.stopCause === undefined) run.waitForTurn(true);
    else run.endWithoutExit();
    return;
  }
  await run.findOut(async () => {
    const now = new Date(clock.now());
    try {
      const { State } = await workspaces.inspect(taskId);
      const startedAt = dateOf(State.StartedAt) ?? now;
      return State.Running ? { startedAt } : { startedAt, exit: exitOfState(State, now) };
    } catch (error) {
      logger.warn(`cannot ask how task ${taskId} stands: ${messageOf(error)}`);
      const record = workspaces.container(taskId);
      const startedAt = run.task.startedAt ?? record?.startedAt ?? now;
      const exit: TaskExit = exitOfCode(record?.exitCode, record?.finishedAt ?? now);
      return isUp(container) ? { startedAt } : { startedAt, exit };
    }
  });
}
