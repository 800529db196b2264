import { request } from "../../client/control_exchange.ts";
import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { NO_INSTANCE, type WorkspaceResult } from "../../protocol/control.ts";
import type { CliContext } from "../cli_context.ts";
import { printable } from "../output/table.ts";

export interface WorkspacesCleanOptions {
  readonly sockets: SocketPaths;
  /** Containers' names or ids, or tasks' ids; all orphans when there are none. Kept ones have to be named. */
  readonly names: readonly string[];
  /** Not asked first. */
  readonly yes: boolean;
  /** The id of the apex instance whose containers go; by default the daemon's own. */
  readonly instance?: string | undefined;
}

/** Removing containers takes an engine its time. */
const CLEAN_TIMEOUT_MS = 600_000;

/**
 * `apex workspaces clean`: removes orphans, or another instance's containers, having asked; prints the name of each one that
 * was removed.
 *
 * @returns the exit status: 4 when one of the names is no orphan's, 1 when one could not be removed
 * @throws {ApexError} `usage` where nobody can be asked
 */
export async function workspacesClean(context: CliContext, options: WorkspacesCleanOptions): Promise<number> {
  const { stdin, stdout, stderr } = context;
  const { sockets: { controlSocket }, names, yes, instance } = options;
  if (!yes && !stdin.isTerminal) {
    throw new ApexError(
      "usage",
      "workspaces clean asks for confirmation, which needs a terminal; add --yes to do without",
    );
  }
  const { workspaces } = await request(
    controlSocket,
    "workspaces.list",
    instance === undefined ? {} : { all: true },
  );
  const { chosen: orphans, unknown } = select(workspaces, options);
  for (const name of unknown) {
    const why = instance === undefined
      ? "no workspace without a living task has that name (see: apex workspaces)"
      : `no workspace of instance ${printable(instance)} has that name (see: apex workspaces --all)`;
    await stderr.print(`apex: cannot remove ${JSON.stringify(name)}: ${why}`);
  }
  const status = unknown.length > 0 ? EXIT_STATUS.not_found : 0;
  if (orphans.length === 0) {
    const where = instance === undefined
      ? ""
      : ` of instance ${printable(instance)} (see: apex workspaces --all)`;
    if (names.length === 0) await stderr.print(`apex: there is nothing to clean${where}`);
    return status;
  }
  if (!yes && !await confirmed(orphans, context)) {
    await stderr.print("apex: nothing was removed");
    return status;
  }
  const shown = orphans.map(({ containerId, containerName }) => containerId ?? containerName);
  // Whoever was asked has agreed to just these; whoever wants all gets those that came meanwhile, too.
  // What an instance is named for is always named too: a daemon older than ids would take all of its own.
  const isAll = yes && names.length === 0 && instance === undefined;
  const params = isAll ? {} : { names: shown, ...(instance !== undefined && { instance }) };
  const result = await request(controlSocket, "workspaces.clean", params, { timeoutMs: CLEAN_TIMEOUT_MS });
  for (const name of result.removed) await stdout.print(printable(name));
  for (const { name, error } of result.failed) await stderr.print(`apex: cannot remove ${name}: ${error}`);
  return status === 0 && result.failed.length > 0 ? EXIT_STATUS.failed : status;
}

interface Selection {
  readonly chosen: readonly WorkspaceResult[];
  /** Names of none of them. */
  readonly unknown: readonly string[];
}

/** All orphans or containers of that instance, or those that are named; one that was kept on purpose has to be named. */
function select(
  workspaces: readonly WorkspaceResult[],
  { names, instance }: Pick<WorkspacesCleanOptions, "names" | "instance">,
): Selection {
  const candidates = instance === undefined
    ? workspaces
    : workspaces.filter(({ foreign, instance: id = foreign ? NO_INSTANCE : undefined }) => id === instance);
  const unneeded = candidates.filter(({ orphaned, foreign }) => orphaned || foreign);
  if (names.length === 0) return { chosen: unneeded, unknown: [] };
  const removable = [...unneeded, ...candidates.filter(({ kept }) => kept)];
  const found = new Set<WorkspaceResult>();
  const unknown: string[] = [];
  for (const name of new Set(names)) {
    const workspace = find(removable, name);
    if (workspace === undefined) unknown.push(name);
    else found.add(workspace);
  }
  return { chosen: [...found], unknown };
}

/** By its container's name, its task's id, its container's id, or a beginning of that which is no other's. */
function find(orphans: readonly WorkspaceResult[], name: string): WorkspaceResult | undefined {
  const exact = orphans.find(({ containerName, containerId, taskId }) =>
    name === containerName || name === containerId || name === taskId
  );
  if (exact !== undefined) return exact;
  const begun = /^[0-9a-f]{4,}$/.test(name)
    ? orphans.filter(({ containerId }) => containerId?.startsWith(name))
    : [];
  return begun.length === 1 ? begun[0] : undefined;
}

async function confirmed(
  orphans: readonly WorkspaceResult[],
  { stdin, stderr }: CliContext,
): Promise<boolean> {
  if (orphans.some(({ foreign }) => foreign)) {
    await stderr.print("Another apex instance created these, and may still be running their tasks:");
  }
  for (const { containerName, state, taskId } of orphans) {
    await stderr.print(
      `  ${printable(containerName)} (${printable(state ?? "unknown")}, task ${printable(taskId)})`,
    );
  }
  const what = orphans.length === 1 ? "this container" : `these ${orphans.length} containers`;
  await stderr.write(new TextEncoder().encode(`Remove ${what} and what is in it? [y/N] `));
  const answer = await stdin.readLine();
  return answer !== null && /^y(es)?$/i.test(answer.trim());
}
