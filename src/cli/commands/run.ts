import { abortable } from "@std/async/abortable";
import { aheadOf, type EndedTask, endedTaskOf, pullProgressOf } from "../../client/frame_payloads.ts";
import { randomTaskId } from "../../protocol/random_task_id.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import { type TaskFlags, taskSpecOf } from "../args/task_spec.ts";
import type { CliContext } from "../cli_context.ts";
import { TaskConnection } from "../connection/task_connection.ts";
import { OutputRelay } from "../output/output_relay.ts";
import { PullDisplay } from "../output/pull_display.ts";
import { toStatusError } from "../output/status_error.ts";
import { exitStatusOf, explainEnd } from "../output/task_end.ts";
import { hintAtUnreadInput } from "../unread_input_hint.ts";

export interface RunFlags extends TaskFlags, DaemonFlags {}

export interface RunOptions {
  readonly flags: RunFlags;
  readonly command: readonly string[];
}

/**
 * `apex run`: runs a command in a container, shows its output and passes on its exit status. The task outlives this client,
 * and this client outlives the daemon.
 *
 * @returns the exit status
 * @throws {StatusError} 125 for whatever is not the command's own failure; 141 when the reader of the output has gone.
 */
export async function run(context: CliContext, { flags, command }: RunOptions): Promise<number> {
  try {
    const spec = taskSpecOf(flags, { command, context });
    const task = { ...spec, taskId: spec.taskId ?? randomTaskId() };
    await using connection = new TaskConnection({ context, flags, task });
    const [out, err] = [new OutputRelay(context.stdout), new OutputRelay(context.stderr)];
    const followed = follow(connection, {
      context,
      out,
      err,
      isDetached: flags.detach ?? false,
      hasInput: task.stdin,
    });
    // Following may be stuck in a write that nobody reads, or wait for a task that says nothing for long.
    return await Promise.race([abortable(followed, connection.abandoned), out.failed, err.failed]);
  } catch (error) {
    throw toStatusError(error, "the task goes on (see: apex tasks)");
  }
}

interface FollowOptions {
  readonly context: CliContext;
  readonly out: OutputRelay;
  readonly err: OutputRelay;
  readonly isDetached: boolean;
  /** Standard input is passed on. */
  readonly hasInput: boolean | undefined;
}

async function follow(
  connection: TaskConnection,
  { context, out, err, isDetached, hasInput = false }: FollowOptions,
): Promise<number> {
  const { stderr } = context;
  let isSilent = true;
  await using display = new PullDisplay(stderr);
  for await (const frame of connection.frames()) {
    switch (frame.kind) {
      case "data":
        // Both may be the same terminal: there, too, what came first is to stand first.
        await err.flush();
        isSilent = false;
        await out.push(frame.payload);
        break;
      case "stderr":
        await out.flush();
        await err.push(frame.payload);
        break;
      case "progress":
        await display.update(pullProgressOf(frame));
        break;
      case "pending":
        if (isDetached) return await printId(context, connection.taskId);
        await stderr.print(`apex: task ${connection.taskId} is pending (${aheadOf(frame)} ahead of it)`);
        break;
      case "started":
        await display.clear();
        connection.started();
        if (isDetached) return await printId(context, connection.taskId);
        break;
      case "exit":
        await display.clear();
        await out.flush();
        await err.flush();
        if (!hasInput) await hintAtUnreadInput(context, { isSilent });
        return await tellEnd(endedTaskOf(frame), context);
    }
  }
  throw new TypeError("The frames of a task ended without its end");
}

async function printId({ stdout }: CliContext, taskId: string): Promise<number> {
  await stdout.print(taskId);
  return 0;
}

async function tellEnd({ task, outputError }: EndedTask, { stderr }: CliContext): Promise<number> {
  if (outputError !== undefined) {
    await stderr.print(`apex: some of the output may be missing: ${outputError}`);
  }
  const why = explainEnd(task);
  if (why !== undefined) await stderr.print(`apex: ${why}`);
  return exitStatusOf(task);
}
