/** `apex workspaces` and `apex workspaces clean`. */
import { yellow } from "@std/fmt/colors";
import { request } from "../../client/control_exchange.ts";
import { ApexError, EXIT_STATUS } from "../../platform/apex_error.ts";
import { formatDuration } from "../../platform/durations.ts";
import { NO_INSTANCE, type WorkspaceResult } from "../../protocol/task_operations.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { formatTable, printable } from "../output/table.ts";

export interface WorkspacesOptions extends VerbOptions {
  /** Include those of other apex instances. */
  readonly all?: boolean | undefined;
}

/** `apex workspaces`: prints the containers that apex has created for tasks, orphans included. */
export async function workspaces(
  context: CliContext,
  { sockets, json, all }: WorkspacesOptions,
): Promise<void> {
  const { stdout } = context;
  const { workspaces } = await request(sockets.controlSocket, "workspaces.list", all ? { all } : {});
  if (json) return await stdout.print(JSON.stringify(workspaces, null, 2));
  const columns = all ? COLUMNS : COLUMNS.filter((column) => column !== "INSTANCE");
  const rows = workspaces.map((workspace) => {
    const cells = cellsOf(workspace, context);
    return columns.map((column) => cells[column]);
  });
  await stdout.print(formatTable([columns, ...rows]).join("\n"));
}

const COLUMNS = ["TASK", "CONTAINER", "STATE", "OWNER", "INSTANCE", "DIRECTORY", "AGE"] as const;

function cellsOf(
  workspace: WorkspaceResult,
  { now, stdout }: CliContext,
): Record<(typeof COLUMNS)[number], string> {
  const { taskId, containerName, state, workspacePath, instance, createdAt, orphaned } = workspace;
  const paint = stdout.colors && orphaned ? yellow : (text: string) => text;
  return {
    TASK: printable(taskId),
    CONTAINER: printable(containerName),
    STATE: printable(state ?? "-"),
    OWNER: paint(ownerOf(workspace)),
    INSTANCE: printable(instance ?? NO_INSTANCE),
    DIRECTORY: printable(workspacePath ?? "-"),
    AGE: createdAt === undefined ? "-" : formatDuration(now() - Date.parse(createdAt)),
  };
}

function ownerOf({ orphaned, kept, foreign }: WorkspaceResult): string {
  if (foreign) return "other";
  return orphaned ? "none (orphan)" : kept ? "none (kept)" : "task";
}

export interface WorkspacesCleanOptions extends VerbOptions {
  /** Names or ids of containers, or ids of tasks; empty: all orphans. A kept container has to be named. */
  readonly names: readonly string[];
  /** Do not ask for confirmation. */
  readonly yes?: boolean | undefined;
  /** The apex instance whose containers to remove; that of the daemon by default. */
  readonly instance?: string | undefined;
}

/** Engines may need long to remove many containers. */
const CLEAN_TIMEOUT_MS = 600_000;

/**
 * `apex workspaces clean`: removes orphans, or the containers of another instance, after confirmation. Prints the name of
 * each removed container.
 *
 * @returns the exit status: 4 if one of the names matches no orphan, 1 if a container could not be removed
 * @throws {ApexError} `usage` if there is no terminal to ask for confirmation
 */
export async function workspacesClean(context: CliContext, options: WorkspacesCleanOptions): Promise<number> {
  const { stdin, stdout, stderr } = context;
  const { sockets: { controlSocket }, names, yes = false, instance } = options;
  if (!yes && !stdin.isTerminal) {
    throw new ApexError("usage", "cannot ask for confirmation without a terminal; add --yes to skip it");
  }
  const { workspaces } = await request(
    controlSocket,
    "workspaces.list",
    instance === undefined ? {} : { all: true },
  );
  const { chosen, unknown } = select(workspaces, options);
  const ofInstance = instance === undefined ? "" : ` of instance ${printable(instance)}`;
  for (const name of unknown) {
    const why = instance === undefined
      ? "no such orphaned or kept workspace (see: apex workspaces)"
      : `no such workspace${ofInstance} (see: apex workspaces --all)`;
    await stderr.print(`apex: cannot remove ${JSON.stringify(name)}: ${why}`);
  }
  const status = unknown.length > 0 ? EXIT_STATUS.not_found : 0;
  if (chosen.length === 0) {
    const hint = instance === undefined ? "" : " (see: apex workspaces --all)";
    if (names.length === 0) await stderr.print(`apex: no workspaces to remove${ofInstance}${hint}`);
    return status;
  }
  if (!yes && !await isConfirmed(chosen, context)) {
    await stderr.print("apex: nothing was removed");
    return status;
  }
  // The user has confirmed exactly these; `--yes` without names also covers those that have appeared since the list. With an
  // instance the ids are always sent: a daemon that does not know instances would remove all of its own orphans.
  const isAll = yes && names.length === 0 && instance === undefined;
  const ids = chosen.map(({ containerId, containerName }) => containerId ?? containerName);
  const params = isAll ? {} : { names: ids, ...(instance !== undefined && { instance }) };
  const result = await request(controlSocket, "workspaces.clean", params, { timeoutMs: CLEAN_TIMEOUT_MS });
  for (const name of result.removed) await stdout.print(printable(name));
  for (const { name, error } of result.failed) {
    await stderr.print(`apex: cannot remove ${printable(name)}: ${printable(error)}`);
  }
  return status === 0 && result.failed.length > 0 ? EXIT_STATUS.failed : status;
}

/**
 * All orphans, or all containers of the instance; or those that are named. Kept containers have to be named. `unknown` are
 * the names that match none of them.
 */
function select(
  workspaces: readonly WorkspaceResult[],
  { names, instance }: Pick<WorkspacesCleanOptions, "names" | "instance">,
): { readonly chosen: readonly WorkspaceResult[]; readonly unknown: readonly string[] } {
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

/** By its container's name, its task's id, its container's id, or an unambiguous prefix of that id. */
function find(workspaces: readonly WorkspaceResult[], name: string): WorkspaceResult | undefined {
  const exact = workspaces.find(({ containerName, containerId, taskId }) =>
    name === containerName || name === containerId || name === taskId
  );
  if (exact !== undefined) return exact;
  const matches = /^[0-9a-f]{4,}$/.test(name)
    ? workspaces.filter(({ containerId }) => containerId?.startsWith(name))
    : [];
  return matches.length === 1 ? matches[0] : undefined;
}

async function isConfirmed(
  chosen: readonly WorkspaceResult[],
  { stdin, stderr }: CliContext,
): Promise<boolean> {
  if (chosen.some(({ foreign }) => foreign)) {
    await stderr.print("Another apex instance created these containers, and may still run their tasks:");
  }
  for (const { containerName, state, taskId } of chosen) {
    await stderr.print(
      `  ${printable(containerName)} (${printable(state ?? "unknown")}, task ${printable(taskId)})`,
    );
  }
  const what = chosen.length === 1 ? "this container" : `these ${chosen.length} containers`;
  await stderr.write(new TextEncoder().encode(`Remove ${what} with all data inside? [y/N] `));
  const answer = await stdin.readLine();
  return answer !== null && /^y(es)?$/i.test(answer.trim());
}
