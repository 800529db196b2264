import { type ControlStream, openStream } from "../client/control_stream.ts";
import { aheadOf, type EndedTask, endedTaskOf, pullProgressOf } from "../client/frame_payloads.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { TaskSpecRequest } from "../protocol/control.ts";
import type { CliContext } from "./cli_context.ts";
import type { DaemonFlags } from "./daemon_flags.ts";
import { ForwardedSignals } from "./forwarded_signals.ts";
import { OutputRelay } from "./output_relay.ts";
import { PullDisplay } from "./pull_display.ts";
import { sendInput } from "./send_input.ts";
import { toStatusError } from "./status_error.ts";
import { exitStatusOf, explainEnd } from "./task_end.ts";
import { type TaskFlags, taskSpecOf } from "./task_spec.ts";
import { hintAtUnreadInput } from "./unread_input_hint.ts";
import { withDaemon } from "./with_daemon.ts";

export interface RunFlags extends TaskFlags, DaemonFlags {}

export interface RunOptions {
  readonly flags: RunFlags;
  readonly command: readonly string[];
}

/**
 * `apex run`: runs a command in a container, shows its output and passes on its exit status. Should this client vanish, the
 * task goes on.
 *
 * @returns the exit status
 * @throws {StatusError} 125 for whatever is not the command's own failure; 141 when the reader of the output has gone.
 */
export async function run(context: CliContext, { flags, command }: RunOptions): Promise<number> {
  try {
    const task = taskSpecOf(flags, { command, context });
    await using running = await withDaemon((sockets) => ask(task, { context, sockets }), { context, flags });
    if (task.stdin) void sendInput(running.stream, context);
    const [out, err] = [new OutputRelay(context.stdout), new OutputRelay(context.stderr)];
    const followed = follow(running, {
      context,
      out,
      err,
      isDetached: flags.detach ?? false,
      hasInput: task.stdin,
    });
    // Following may be stuck in a write that nobody reads, or wait for a task that says nothing for long.
    return await Promise.race([followed, reasonOf(running.signals.abandoned), out.failed, err.failed]);
  } catch (error) {
    throw toStatusError(error, "the task goes on (see: apex tasks)");
  }
}

/** A task that the daemon has taken, and the signals that go to it. */
interface RunningTask extends AsyncDisposable {
  readonly stream: ControlStream<"tasks.run">;
  readonly signals: ForwardedSignals;
}

async function ask(
  task: TaskSpecRequest,
  { context, sockets: { controlSocket } }: { readonly context: CliContext; readonly sockets: SocketPaths },
): Promise<RunningTask> {
  await using stack = new AsyncDisposableStack();
  const signals = stack.use(new ForwardedSignals({ context, controlSocket }));
  const stream = stack.use(
    await openStream(controlSocket, "tasks.run", { task }, { signal: signals.abandoned }),
  );
  signals.accepted(stream.result.taskId);
  const owned = stack.move();
  return { stream, signals, [Symbol.asyncDispose]: () => owned.disposeAsync() };
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
  { stream, signals }: RunningTask,
  { context, out, err, isDetached, hasInput = false }: FollowOptions,
): Promise<number> {
  const { stderr } = context;
  const { taskId } = stream.result;
  let isSilent = true;
  await using display = new PullDisplay(stderr);
  for await (const frame of stream.frames) {
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
        if (isDetached) return await printId(context, taskId);
        await stderr.print(`apex: task ${taskId} is pending (${aheadOf(frame)} ahead of it)`);
        break;
      case "started":
        await display.clear();
        signals.started();
        if (isDetached) return await printId(context, taskId);
        break;
      case "exit":
        await display.clear();
        await out.flush();
        await err.flush();
        if (!hasInput) await hintAtUnreadInput(context, { isSilent });
        return await tellEnd(endedTaskOf(frame), context);
    }
  }
  await out.flush();
  await err.flush();
  throw new ApexError(
    "stream_cut",
    `the daemon went away while task ${taskId} ran; the task may go on: see apex wait ${taskId}, ` +
      `once a daemon runs again (apex daemon)`,
  );
}

/** Rejects with the signal's reason when it is aborted. */
function reasonOf(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
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
