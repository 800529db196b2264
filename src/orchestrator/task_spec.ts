import { ApexError } from "../platform/apex_error.ts";
import { randomTaskId } from "../protocol/task_operations.ts";
import type { WorkspaceSpec } from "../workspaces/workspace.ts";
import type { TaskSpec } from "./task.ts";

/** The spec of an accepted task: it has an id, and what can be checked without an engine is valid. */
export interface NamedTaskSpec extends TaskSpec {
  readonly taskId: string;
}

const TASK_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

const RESERVED_LABELS = "apex.";

/**
 * Checks a spec, and chooses an id if it has none.
 * @param isTaken whether a task with that id is known
 * @throws {ApexError} `usage` for an invalid value
 */
export function namedTaskSpec(spec: TaskSpec, isTaken: (taskId: string) => boolean): NamedTaskSpec {
  const { taskId, image, timeoutMs } = spec;
  if (taskId !== undefined && !TASK_ID.test(taskId)) {
    throw new ApexError(
      "usage",
      `cannot run task "${taskId}": invalid task id (use 1 to 64 letters, digits, "_", "." or "-", ` +
        "and start with a letter or a digit)",
    );
  }
  const reserved = Object.keys(spec.labels ?? {}).find((name) => name.startsWith(RESERVED_LABELS));
  if (reserved !== undefined) {
    throw new ApexError(
      "usage",
      `cannot run a task with the label "${reserved}": labels that start with "${RESERVED_LABELS}" are reserved`,
    );
  }
  if (image === "") throw new ApexError("usage", "cannot run a task without an image (name one)");
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw new ApexError(
      "usage",
      `cannot run a task with a timeout of ${timeoutMs} ms: it must be greater than 0`,
    );
  }
  return { ...spec, taskId: taskId ?? freeTaskId(isTaken) };
}

/** The workspace that the task needs. */
export function workspaceSpecOf(spec: NamedTaskSpec): WorkspaceSpec {
  const { taskId, timeoutMs: _timeoutMs, keep, keepOnFailure, pull: _pull, stdin, ...container } = spec;
  return {
    taskId,
    container: { ...container, exactOutput: true, ...(stdin && { openStdin: true, stdinOnce: true }) },
    policy: cleanupPolicyOf({ keep, keepOnFailure }),
  };
}

/** What happens to the container when the task has ended. */
export function cleanupPolicyOf(
  { keep = false, keepOnFailure = false }: {
    readonly keep?: boolean | undefined;
    readonly keepOnFailure?: boolean | undefined;
  },
): WorkspaceSpec["policy"] {
  return { cleanupOnComplete: !keep, preserveOnFailure: keepOnFailure };
}

function freeTaskId(isTaken: (taskId: string) => boolean): string {
  while (true) {
    const taskId = randomTaskId();
    if (!isTaken(taskId)) return taskId;
  }
}
