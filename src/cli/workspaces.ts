import { yellow } from "@std/fmt/colors";
import { request } from "../client/request.ts";
import type { SocketPaths } from "../platform/directories.ts";
import { formatDuration } from "../platform/durations.ts";
import type { WorkspaceResult } from "../protocol/control.ts";
import type { CliContext } from "./cli_context.ts";
import { formatTable, printable } from "./table.ts";

export interface WorkspacesOptions {
  readonly sockets: SocketPaths;
  readonly json: boolean;
}

/** `apex workspaces`: the containers that apex made for tasks, orphans among them. */
export async function workspaces(context: CliContext, { sockets, json }: WorkspacesOptions): Promise<void> {
  const { stdout } = context;
  const { workspaces } = await request(sockets.controlSocket, "workspaces.list", {});
  if (json) return await stdout.print(JSON.stringify(workspaces, null, 2));
  const rows = workspaces.map((workspace) => row(workspace, context));
  await stdout.print(formatTable([HEADINGS, ...rows]).join("\n"));
}

const HEADINGS = ["TASK", "CONTAINER", "STATE", "OWNER", "DIRECTORY", "AGE"];
const OWNER_COLUMN = HEADINGS.indexOf("OWNER");

function row(workspace: WorkspaceResult, { now, stdout }: CliContext): string[] {
  const { taskId, containerName, state, orphaned, kept, workspacePath, createdAt } = workspace;
  const paint = stdout.colors && orphaned ? yellow : (text: string) => text;
  return [
    taskId,
    containerName,
    state ?? "-",
    orphaned ? "none (orphan)" : kept ? "none (kept)" : "task",
    workspacePath ?? "-",
    createdAt === undefined ? "-" : formatDuration(now() - Date.parse(createdAt)),
  ].map((cell, column) => column === OWNER_COLUMN ? paint(cell) : printable(cell));
}
