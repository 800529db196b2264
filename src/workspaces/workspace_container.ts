import { MANAGED_LABEL, TASK_ID_LABEL } from "../containers/apex_labels.ts";
import { type ContainerSpec, WORKSPACE_PATH } from "../containers/operations/container_spec.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type { WorkspaceSpec } from "./workspace.ts";

/**
 * The container of a workspace, all but its name: with apex's labels, the project directory where one is asked for, and
 * an init where the engine has one, unless the task says otherwise.
 *
 * @throws {ApexError} `usage` when the project directory cannot be mounted
 */
export async function workspaceContainer(spec: WorkspaceSpec): Promise<Omit<ContainerSpec, "name">> {
  const { taskId, container, projectDir } = spec;
  const labels = { ...container.labels, [MANAGED_LABEL]: "true", [TASK_ID_LABEL]: taskId };
  const init = container.init ?? "if-available";
  if (projectDir === undefined) return { ...container, labels, init };

  const mounts = container.mounts ?? [];
  if (mounts.some(({ target }) => target.replace(/\/+$/, "") === WORKSPACE_PATH)) {
    throw cannotMount(projectDir, "another mount has that target (leave one of the two out)");
  }
  await checkDirectory(projectDir);
  return {
    ...container,
    labels,
    init,
    projectDir,
  };
}

/** Asked before the engine is: Docker would make a missing directory, as root. */
async function checkDirectory(path: string): Promise<void> {
  if (!path.startsWith("/")) {
    throw cannotMount(path, "not an absolute path (name the directory from the root on)");
  }
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    const why = cause instanceof Deno.errors.NotFound
      ? "no such directory (make it first, or name another)"
      : messageOf(cause);
    throw cannotMount(path, why, { cause });
  }
  if (!info.isDirectory) throw cannotMount(path, "not a directory (name a directory)");
}

function cannotMount(path: string, why: string, options?: ErrorOptions): ApexError {
  return new ApexError("usage", `cannot mount "${path}" at ${WORKSPACE_PATH}: ${why}`, options);
}
