/** `apex tasks` and `apex cancel`. */
import { green, red, yellow } from "@std/fmt/colors";
import { request } from "../../client/control_exchange.ts";
import { formatDuration } from "../../platform/durations.ts";
import type { TaskResult } from "../../protocol/task_operations.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { eachTarget } from "../connection/targets.ts";
import { formatTable, printable } from "../output/table.ts";

export interface TasksOptions extends VerbOptions {
  /** Include the tasks that have ended. */
  readonly all?: boolean | undefined;
}

/** `apex tasks`: prints the tasks, newest first. */
export async function tasks(
  context: CliContext,
  { sockets, all = false, json }: TasksOptions,
): Promise<void> {
  const { stdout } = context;
  const { tasks } = await request(sockets.controlSocket, "tasks.list", { all });
  if (json) return await stdout.print(JSON.stringify(tasks, null, 2));
  const rows = tasks.map((task) => row(task, context));
  await stdout.print(formatTable([HEADINGS, ...rows]).join("\n"));
}

const HEADINGS = ["TASK", "STATE", "EXIT", "IMAGE", "COMMAND", "AGE", "DURATION"];
const STATE_COLUMN = HEADINGS.indexOf("STATE");
/** A command may be a whole script. */
const MAX_COMMAND_CHARACTERS = 40;

function row(task: TaskResult, { now, stdout }: CliContext): string[] {
  const paint = stdout.colors ? colorOf(task) : (text: string) => text;
  return [
    task.taskId,
    stateOf(task),
    task.exitCode === undefined ? "-" : String(task.exitCode),
    task.image,
    commandOf(task),
    formatDuration(now() - Date.parse(task.createdAt)),
    durationOf(task, now()),
  ].map((cell, column) => column === STATE_COLUMN ? paint(printable(cell)) : printable(cell));
}

/** With the reason of a failure, unless that is the exit status, which has its own column. */
function stateOf({ state, reason }: TaskResult): string {
  return state !== "failed" || reason === undefined || reason === "exit" ? state : `${state} (${reason})`;
}

function colorOf({ state }: TaskResult): (text: string) => string {
  if (state === "failed") return red;
  if (state === "running") return green;
  return state === "pending" || state === "cancelled" ? yellow : (text) => text;
}

/** Quoted as in a shell, and cut. */
function commandOf({ cmd }: TaskResult): string {
  if (cmd.length === 0) return "-";
  const characters = [...cmd.map(quoted).join(" ")];
  if (characters.length <= MAX_COMMAND_CHARACTERS) return characters.join("");
  return `${characters.slice(0, MAX_COMMAND_CHARACTERS - 1).join("")}…`;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** How long the task ran, or has been running. */
function durationOf({ startedAt, endedAt }: TaskResult, nowMs: number): string {
  if (startedAt === undefined) return "-";
  return formatDuration((endedAt === undefined ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt));
}

/** A task has the daemon's `stop_timeout` to end, which may be long. */
const CANCEL_TIMEOUT_MS = 600_000;

/**
 * `apex cancel`: cancels tasks, and prints the id of each one when it has ended.
 *
 * @returns the exit status
 */
export async function cancel(
  { stdout, stderr }: CliContext,
  { sockets, tasks }: VerbOptions & { readonly tasks: readonly string[] },
): Promise<number> {
  const { exitStatus } = await eachTarget(tasks, {
    failure: "cannot cancel task",
    stderr,
    work: async (task) => {
      const options = { timeoutMs: CANCEL_TIMEOUT_MS };
      const cancelled = await request(sockets.controlSocket, "tasks.cancel", { task }, options);
      await stdout.print(cancelled.task.taskId);
    },
  });
  return exitStatus;
}
