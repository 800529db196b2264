import { green } from "@std/fmt/colors";
import { request } from "../../client/control_exchange.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { formatDuration } from "../../platform/durations.ts";
import type { SessionResult } from "../../protocol/session_messages.ts";
import type { CliContext } from "../cli_context.ts";
import { formatTable, printable } from "../output/table.ts";

export interface ListOptions {
  readonly sockets: SocketPaths;
  readonly json: boolean;
}

/** `apex list`: the sessions, in the order of their making. */
export async function list(context: CliContext, { sockets, json }: ListOptions): Promise<void> {
  const { stdout } = context;
  const { sessions } = await request(sockets.controlSocket, "sessions.list", {});
  const oldestFirst = sessions.toSorted((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt));
  if (json) return await stdout.print(JSON.stringify(oldestFirst, null, 2));
  const rows = oldestFirst.map((session) => row(session, context));
  await stdout.print(formatTable([HEADINGS, ...rows]).join("\n"));
}

const HEADINGS = ["NAME", "STATUS", "IMAGE", "AGE", "LAST ATTACHED", "ENDS IN"];

function row(session: SessionResult, { now, stdout }: CliContext): string[] {
  const { name, status, image, createdAt, lastAttachedAt, attachedPid, expiresAt } = session;
  const paint = stdout.colors && status === "attached" ? green : (text: string) => text;
  return [
    printable(name),
    paint(attachedPid === undefined ? status : `${status} (pid ${attachedPid})`),
    printable(image),
    formatDuration(now() - Date.parse(createdAt)),
    lastAttachedAt === undefined ? "-" : `${formatDuration(now() - Date.parse(lastAttachedAt))} ago`,
    expiresAt === undefined ? "-" : formatDuration(Date.parse(expiresAt) - now()),
  ];
}
