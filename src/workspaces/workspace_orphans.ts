import { INSTANCE_LABEL, MANAGED_LABEL, SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import { messageOf } from "../platform/apex_error.ts";
import { definedFields } from "../platform/defined_fields.ts";
import type { OrphanedWorkspace, WorkspaceContainers } from "./workspace.ts";
import type { WorkspaceRegistry } from "./workspace_registry.ts";

/** Concurrent removals: enough for hundreds of containers, and a small load for the engine. */
const MAX_REMOVALS = 8;

/** Which orphans were removed, and which could not be. */
export interface OrphanRemovals {
  /** Container names. */
  readonly removed: string[];
  readonly failed: { readonly name: string; readonly error: string }[];
}

/** The containers that apex instances created for tasks, and that are no workspace of this one. */
export function unclaimed(
  registry: WorkspaceRegistry,
  containers: Pick<WorkspaceContainers, "list" | "owns">,
): OrphanedWorkspace[] {
  return containers.list().map(asWorkspace)
    .filter((workspace) => workspace !== undefined)
    .filter(({ containerId, containerName }) =>
      registry.withContainer(containerId) === undefined &&
      !(registry.named(containerName) !== undefined && containers.owns(containerId))
    );
}

/** The workspace that this container was; undefined unless an apex instance created it for a task. */
function asWorkspace(record: ContainerRecord): OrphanedWorkspace | undefined {
  const { labels, taskId } = record;
  if (taskId === undefined || labels[MANAGED_LABEL] !== "true" || Object.hasOwn(labels, SESSION_LABEL)) {
    return undefined;
  }
  const { id: containerId, name: containerName, state, createdAt } = record;
  const instance = labels[INSTANCE_LABEL];
  return definedFields({ taskId, containerId, containerName, state, instance, createdAt });
}

/**
 * Removes the named orphans, at most {@linkcode MAX_REMOVALS} at once. A removal that fails does not affect the others.
 * @param names container names, full ids or unambiguous prefixes of ids; undefined for all orphans
 */
export async function removeOrphans(
  orphans: readonly OrphanedWorkspace[],
  { names, remove }: {
    readonly names: readonly string[] | undefined;
    readonly remove: (orphan: OrphanedWorkspace) => Promise<void>;
  },
): Promise<OrphanRemovals> {
  const outcome: OrphanRemovals = { removed: [], failed: [] };
  const selected = new Set(names === undefined ? orphans : []);
  for (const name of new Set(names)) {
    const orphan = find(orphans, name);
    if (orphan !== undefined) selected.add(orphan);
    else outcome.failed.push({ name, error: `no orphaned workspace "${name}" (see: apex workspaces)` });
  }
  const waiting = selected.values();
  const removeInTurn = async (): Promise<void> => {
    for (const orphan of waiting) {
      const { containerName: name } = orphan;
      try {
        await remove(orphan);
        outcome.removed.push(name);
      } catch (error) {
        outcome.failed.push({ name, error: messageOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_REMOVALS }, removeInTurn));
  return outcome;
}

function find(orphans: readonly OrphanedWorkspace[], name: string): OrphanedWorkspace | undefined {
  const exact = orphans.find(({ containerName, containerId }) =>
    containerName === name || containerId === name
  );
  if (exact !== undefined || !/^[0-9a-f]{4,}$/.test(name)) return exact;
  const [found, ...others] = orphans.filter(({ containerId }) => containerId.startsWith(name));
  return others.length === 0 ? found : undefined;
}
