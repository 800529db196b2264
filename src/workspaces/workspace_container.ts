import { MANAGED_LABEL, TASK_ID_LABEL } from "../containers/apex_labels.ts";
import { type ContainerSpec, WORKSPACE_PATH } from "../containers/operations/container_spec.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type { WorkspaceSpec } from "./workspace.ts";

/** The name of a task's container, unless another container has it. */
export function plainContainerName(taskId: string): string {
  return `apex-task-${taskId}`;
}

/**
 * The container of a workspace, without its name. Adds apex's labels, and an init process if the engine has one and the
 * task does not say otherwise.
 * @throws {ApexError} `usage` if the project directory cannot be mounted
 */
export async function workspaceContainer(
  { taskId, container }: WorkspaceSpec,
): Promise<Omit<ContainerSpec, "name">> {
  const { projectDir, mounts = [], labels, init = "if-available" } = container;
  if (projectDir !== undefined) {
    if (mounts.some(({ target }) => target.replace(/\/+$/, "") === WORKSPACE_PATH)) {
      throw cannotMount(projectDir, "another mount has that target (omit one of the two)");
    }
    await checkDirectory(projectDir);
  }
  return { ...container, init, labels: { ...labels, [MANAGED_LABEL]: "true", [TASK_ID_LABEL]: taskId } };
}

/** The engine is not asked to check this: Docker would create a missing directory, owned by root. */
async function checkDirectory(path: string): Promise<void> {
  if (!path.startsWith("/")) throw cannotMount(path, "not an absolute path (start it with /)");
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound
      ? "no such directory (create it first, or name another one)"
      : messageOf(cause);
    throw cannotMount(path, reason, { cause });
  }
  if (!info.isDirectory) throw cannotMount(path, "not a directory (name a directory)");
}

function cannotMount(path: string, reason: string, options?: ErrorOptions): ApexError {
  return new ApexError("usage", `cannot mount "${path}" at ${WORKSPACE_PATH}: ${reason}`, options);
}
