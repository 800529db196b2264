import { INSTANCE_LABEL, MANAGED_LABEL, SESSION_LABEL } from "../containers/apex_labels.ts";
import type { ContainerRecord } from "../containers/container_record.ts";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import type { OrphanedWorkspace } from "./workspace.ts";

/** Removals under way at once: quick for hundreds, and no burden for the engine. */
const MAX_REMOVALS = 8;

/** What became of orphans that were to be removed. */
export interface OrphanRemovals {
  /** Container names. */
  readonly removed: string[];
  readonly failed: { readonly name: string; readonly error: string }[];
}

/** What a container is as a workspace; undefined for one that no apex instance created for a task. */
export function asWorkspace(record: ContainerRecord): OrphanedWorkspace | undefined {
  const { labels, taskId } = record;
  if (taskId === undefined || labels[MANAGED_LABEL] !== "true" || Object.hasOwn(labels, SESSION_LABEL)) {
    return undefined;
  }
  const instance = labels[INSTANCE_LABEL];
  return {
    taskId,
    containerId: record.id,
    containerName: record.name,
    state: record.state,
    ...(instance !== undefined && { instance }),
    ...(record.createdAt !== undefined && { createdAt: record.createdAt }),
  };
}

/** Those that are named, by container name, full id or the beginning of an id; and the names that are nobody's. */
export function selectOrphans(
  orphans: readonly OrphanedWorkspace[],
  names: readonly string[],
): { selected: OrphanedWorkspace[]; unknown: string[] } {
  const selected = new Set<OrphanedWorkspace>();
  const unknown: string[] = [];
  for (const name of new Set(names)) {
    const found = find(orphans, name);
    if (found === undefined) unknown.push(name);
    else selected.add(found);
  }
  return { selected: [...selected], unknown };
}

/** Removes each, some at a time; one that fails keeps nobody else. */
export async function removeEach(
  orphans: readonly OrphanedWorkspace[],
  remove: (orphan: OrphanedWorkspace) => Promise<void>,
): Promise<OrphanRemovals> {
  const outcome: OrphanRemovals = { removed: [], failed: [] };
  const waiting = orphans.values();
  const lane = async (): Promise<void> => {
    for (const orphan of waiting) {
      try {
        await remove(orphan);
        outcome.removed.push(orphan.containerName);
      } catch (error) {
        outcome.failed.push({ name: orphan.containerName, error: messageOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_REMOVALS }, lane));
  return outcome;
}

/** Why a name selects nothing. */
export function notAnOrphan(name: string): ApexError {
  return new ApexError("not_found", `no orphaned workspace "${name}" (try: apex workspaces)`);
}

function find(orphans: readonly OrphanedWorkspace[], name: string): OrphanedWorkspace | undefined {
  const exact = orphans.find(({ containerName, containerId }) =>
    containerName === name || containerId === name
  );
  if (exact !== undefined) return exact;
  const byPrefix = orphans.filter(({ containerId }) =>
    /^[0-9a-f]{4,}$/.test(name) && containerId.startsWith(name)
  );
  return byPrefix.length === 1 ? byPrefix[0] : undefined;
}
