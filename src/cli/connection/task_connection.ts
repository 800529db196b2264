/**
 * The connection of `apex run` to its task, through one daemon or several. The task starts only once, however often it is
 * requested: the daemon recognizes the id of a request that it has accepted before. Owns the request's stream, the
 * forwarding of signals, and that of standard input.
 */
import { type ControlStream, openStream } from "../../client/control_stream.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { resolveSockets, type SocketPaths } from "../../platform/directories.ts";
import { encodeFrame, type Frame, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/frames.ts";
import type { FrameOp } from "../../protocol/operations.ts";
import type { OutputPosition, TaskSpecRequest } from "../../protocol/task_operations.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { ForwardedSignals } from "./forwarded_signals.ts";
import { type Opening, resumedFrames } from "./reconnect.ts";
import { withDaemon } from "./with_daemon.ts";

export interface TaskConnectionOptions {
  readonly context: CliContext;
  readonly flags: DaemonFlags;
  readonly task: TaskSpecRequest & { readonly taskId: string };
}

/** Before it starts a daemon, the client gives a supervisor or `apex restart` this much time to do so. */
const START_DAEMON_AFTER_MS = 2_000;

export class TaskConnection implements AsyncDisposable {
  readonly #options: TaskConnectionOptions;
  readonly #requestId = crypto.randomUUID();
  readonly #abort = new AbortController();
  /** Those of the current connection. */
  #signals: ForwardedSignals | undefined;
  #taskId: string;
  #isAccepted = false;
  /** The engine that runs the task, as `--engine` takes it: a daemon on another engine does not know the task. */
  #engine: string | undefined;
  #hasStartedDaemon = false;

  constructor(options: TaskConnectionOptions) {
    this.#options = options;
    this.#taskId = options.task.taskId;
  }

  /** The id that the daemon has given the task, once it has answered. */
  get taskId(): string {
    return this.#taskId;
  }

  /** Aborted with an {@linkcode ApexError} `interrupted` when the client is to end before the task. */
  get abandoned(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Starts the task; its frames, up to `exit`. To be called once.
   *
   * @throws {ApexError} as {@linkcode resumedFrames} does
   */
  frames(): AsyncGenerator<Frame, void, undefined> {
    return resumedFrames({
      context: this.#options.context,
      open: (opening) => this.#open(opening),
      standing: () => this.#standing,
      remedy: () => `see: apex wait ${this.#taskId}`,
      abort: this.#abort,
      onLost: async () => {
        await this.#signals?.[Symbol.asyncDispose]();
        this.#signals = undefined;
      },
    });
  }

  /** The task runs, so signals can reach it. */
  started(): void {
    this.#signals?.started();
  }

  /** Closes the connection, and restores the default handling of signals. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new ApexError("interrupted", `task ${this.taskId} is no longer followed`));
    await this.#signals?.[Symbol.asyncDispose]();
  }

  get #standing(): string {
    const { task: { stdin } } = this.#options;
    const taskId = this.#taskId;
    if (!this.#isAccepted) return `task ${taskId} may have been started`;
    // The lost daemon carried the input, so the command has read its end.
    return stdin ? `task ${taskId} continues, but gets no more input` : `task ${taskId} continues`;
  }

  async #open({ received, lostAtMs }: Opening): Promise<ControlStream<FrameOp>> {
    const { context, flags } = this.#options;
    if (lostAtMs === undefined) {
      return await withDaemon((sockets) => this.#request(sockets, received), { context, flags });
    }
    const open = async (sockets: SocketPaths) => {
      await context.checkDaemon(sockets);
      return await this.#request(sockets, received);
    };
    const mayStart = !this.#hasStartedDaemon && performance.now() - lostAtMs >= START_DAEMON_AFTER_MS;
    if (!mayStart) return await open(resolveSockets({ ...context, socket: flags.socket }));
    const engine = flags.engine ?? this.#engine;
    // Only one attempt: if it fails, another process may still start a daemon.
    this.#hasStartedDaemon = true;
    return await withDaemon(open, { context, flags: { ...flags, engine } });
  }

  async #request({ controlSocket }: SocketPaths, received: OutputPosition): Promise<ControlStream<FrameOp>> {
    const { context, task } = this.#options;
    const requestId = this.#requestId;
    await using stack = new AsyncDisposableStack();
    const signals = stack.use(new ForwardedSignals({ context, controlSocket }));
    signals.abandoned.addEventListener("abort", () => this.#abort.abort(signals.abandoned.reason));
    const options = { abort: this.#abort.signal };
    let stream: ControlStream<FrameOp>;
    if (this.#isAccepted) {
      const params = { task: this.#taskId, requestId, output: received };
      stream = stack.use(await openStream(controlSocket, "tasks.wait", params, options));
    } else {
      const started = stack.use(await openStream(controlSocket, "tasks.run", { task, requestId }, options));
      this.#taskId = started.result.taskId;
      this.#engine = started.result.engine;
      // Not awaited: a pending read of standard input cannot be cancelled. It never rejects.
      if (task.stdin) void sendInput(started, context);
      stream = started;
    }
    this.#isAccepted = true;
    signals.accepted(this.#taskId);
    this.#signals = signals;
    // From here on `onLost`, the disposal, or the end of the frames disposes of both.
    stack.move();
    return stream;
  }
}

/**
 * Sends standard input to a task, and then its end. Waits while the command does not read. Ends early if the connection is
 * lost: a later connection does not resume the input. Never rejects.
 */
async function sendInput(
  stream: Pick<ControlStream<"tasks.run">, "send">,
  { stdin, stderr }: Pick<CliContext, "stdin" | "stderr">,
): Promise<void> {
  const buffer = new Uint8Array(MAX_FRAME_PAYLOAD_BYTES);
  try {
    for (let count = await stdin.read(buffer); count !== null; count = await stdin.read(buffer)) {
      if (!await stream.send(encodeFrame("data", buffer.subarray(0, count)))) return;
    }
  } catch (error) {
    await stderr.print(
      `apex: cannot read standard input: ${messageOf(error)}; the command's input ends here`,
    );
  }
  await stream.send(encodeFrame("eof"));
}
