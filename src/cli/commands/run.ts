import { abortable } from "@std/async/abortable";
import { aheadOf, type EndedTask, endedTaskOf, pullProgressOf } from "../../client/frame_payloads.ts";
import { randomTaskId } from "../../protocol/task_operations.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import { type TaskFlags, taskSpecOf } from "../args/task_spec.ts";
import type { CliContext } from "../cli_context.ts";
import { TaskConnection } from "../connection/task_connection.ts";
import { exitStatusOf, explainEnd, toStatusError } from "../output/exit_status.ts";
import { OutputRelay } from "../output/output_relay.ts";
import { PullDisplay } from "../output/pull_display.ts";

export interface RunFlags extends TaskFlags, DaemonFlags {}

export interface RunOptions {
  readonly flags: RunFlags;
  readonly command: readonly string[];
}

/**
 * `apex run`: runs a command in a container, prints its output, and passes on its exit status. The task survives this
 * client, and this client survives the daemon.
 *
 * @returns the exit status
 * @throws {StatusError} 125 for every failure of apex itself; 141 if the reader of the output has closed it
 */
export async function run(context: CliContext, { flags, command }: RunOptions): Promise<number> {
  try {
    const spec = taskSpecOf(flags, { command, context });
    const task = { ...spec, taskId: spec.taskId ?? randomTaskId() };
    await using connection = new TaskConnection({ context, flags, task });
    const [out, err] = [new OutputRelay(context.stdout), new OutputRelay(context.stderr)];
    const { detach: isDetached = false, interactive: hasInput = false } = flags;
    const followed = follow(connection, { context, out, err, isDetached, hasInput });
    // `follow` may be blocked in a write to a reader that is paused, or wait for a silent task.
    return await Promise.race([abortable(followed, connection.abandoned), out.failed, err.failed]);
  } catch (error) {
    throw toStatusError(error, "the task continues (see: apex tasks)");
  }
}

interface FollowOptions {
  readonly context: CliContext;
  readonly out: OutputRelay;
  readonly err: OutputRelay;
  readonly isDetached: boolean;
  readonly hasInput: boolean;
}

async function follow(
  connection: TaskConnection,
  { context, out, err, isDetached, hasInput }: FollowOptions,
): Promise<number> {
  const { stdout, stderr } = context;
  let isSilent = true;
  await using display = new PullDisplay(stderr);
  for await (const frame of connection.frames()) {
    switch (frame.kind) {
      case "data":
        // Both streams may be the same terminal, so their order is kept.
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
        if (!isDetached) {
          await stderr.print(`apex: task ${connection.taskId} is pending (${aheadOf(frame)} ahead of it)`);
          break;
        }
        await stdout.print(connection.taskId);
        return 0;
      case "started":
        await display.clear();
        connection.started();
        if (!isDetached) break;
        await stdout.print(connection.taskId);
        return 0;
      case "exit":
        await display.clear();
        await out.flush();
        await err.flush();
        if (!hasInput && isSilent) await hintAtUnreadInput(context);
        return await reportEnd(endedTaskOf(frame), context);
    }
  }
  throw new TypeError("The frames of a task ended without an exit frame");
}

/**
 * Prints that standard input was not passed on, because `echo x | apex run -- cat` prints nothing. As with Docker, input is
 * read only on request: it may belong to another command (`while read … done < list`). So apex cannot know whether any was
 * waiting, and prints this only at a terminal: scripts and CI have pipes for many other reasons.
 */
async function hintAtUnreadInput({ stdin, stderr }: CliContext): Promise<void> {
  if (!stderr.isTerminal || !await stdin.isPiped()) return;
  await stderr.print("apex: standard input was not passed to the command (to do that, use apex run -i)");
}

async function reportEnd({ task, outputError }: EndedTask, { stderr }: CliContext): Promise<number> {
  if (outputError !== undefined) {
    await stderr.print(`apex: some output may be missing: ${outputError}`);
  }
  const why = explainEnd(task);
  if (why !== undefined) await stderr.print(`apex: ${why}`);
  return exitStatusOf(task);
}
