import { yellow } from "@std/fmt/colors";
import { request } from "../../client/control_exchange.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { formatDuration } from "../../platform/durations.ts";
import { NO_INSTANCE, type WorkspaceResult } from "../../protocol/control.ts";
import type { CliContext } from "../cli_context.ts";
import { formatTable, printable } from "../output/table.ts";

export interface WorkspacesOptions {
  readonly sockets: SocketPaths;
  readonly json: boolean;
  /** Those of other apex instances too. */
  readonly all: boolean;
}

/** `apex workspaces`: the containers that apex made for tasks, orphans among them. */
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
