/**
 * The way from `apex run` to its task, through one daemon after another. The task is begun once, however often it has to
 * be asked for: by the request's id a daemon knows whether it has accepted it already.
 */
import { type ControlStream, openStream } from "../../client/control_stream.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { resolveSockets, type SocketPaths } from "../../platform/directories.ts";
import type { OutputPosition, StreamOp, TaskSpecRequest } from "../../protocol/control.ts";
import type { Frame } from "../../protocol/frames.ts";
import type { DaemonFlags } from "../args/daemon_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { ForwardedSignals } from "../terminal/forwarded_signals.ts";
import { sendInput } from "../terminal/send_input.ts";
import { type Opening, resumedFrames } from "./resumed_frames.ts";
import { withDaemon } from "./with_daemon.ts";

export interface TaskConnectionOptions {
  readonly context: CliContext;
  readonly flags: DaemonFlags;
  readonly task: TaskSpecRequest & { readonly taskId: string };
}

/** Another process may start the next daemon, a supervisor or `apex restart`: it has so long to be first. */
const START_DAEMON_AFTER_MS = 2_000;

export class TaskConnection implements AsyncDisposable {
  readonly #options: TaskConnectionOptions;
  readonly #requestId = crypto.randomUUID();
  readonly #abort = new AbortController();
  /** Of the connection that there is. */
  #signals: ForwardedSignals | undefined;
  #taskId: string;
  #isAccepted = false;
  /** As `--engine` takes it: a daemon on another one does not know the task. */
  #engine: string | undefined;
  #hasStartedDaemon = false;

  constructor(options: TaskConnectionOptions) {
    this.#options = options;
    this.#taskId = options.task.taskId;
  }

  /** The daemon's word for it, once that has answered. */
  get taskId(): string {
    return this.#taskId;
  }

  /** Aborted, with an {@linkcode ApexError} `interrupted`, when the client is to end without the task's end. */
  get abandoned(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Has the task run; its frames, up to `exit`. To be called once.
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

  /** The task runs, so that signals can reach it. */
  started(): void {
    this.#signals?.started();
  }

  /** Hangs up; signals end the process as they do by default. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort(new ApexError("interrupted", `task ${this.taskId} is not followed any more`));
    await this.#signals?.[Symbol.asyncDispose]();
  }

  get #standing(): string {
    const { task: { stdin } } = this.#options;
    const taskId = this.#taskId;
    if (!this.#isAccepted) return `task ${taskId} may have been started`;
    // The daemon carried it: the command has read its end.
    return stdin ? `task ${taskId} continues, but gets no more input` : `task ${taskId} continues`;
  }

  async #open({ received, lostAtMs }: Opening): Promise<ControlStream<StreamOp>> {
    const { context, flags } = this.#options;
    if (lostAtMs === undefined) {
      return await withDaemon((sockets) => this.#ask(sockets, received), { context, flags });
    }
    const open = async (sockets: SocketPaths) => {
      await context.checkDaemon(sockets);
      return await this.#ask(sockets, received);
    };
    const mayStart = !this.#hasStartedDaemon && performance.now() - lostAtMs >= START_DAEMON_AFTER_MS;
    if (!mayStart) return await open(resolveSockets({ ...context, socket: flags.socket }));
    const engine = flags.engine ?? this.#engine;
    // One that cannot be started is not tried again and again: another may still come.
    this.#hasStartedDaemon = true;
    return await withDaemon(open, { context, flags: { ...flags, engine } });
  }

  async #ask({ controlSocket }: SocketPaths, received: OutputPosition): Promise<ControlStream<StreamOp>> {
    const { context, task } = this.#options;
    const requestId = this.#requestId;
    await using stack = new AsyncDisposableStack();
    const signals = stack.use(new ForwardedSignals({ context, controlSocket }));
    signals.abandoned.addEventListener("abort", () => this.#abort.abort(signals.abandoned.reason));
    const options = { signal: this.#abort.signal };
    let stream: ControlStream<StreamOp>;
    if (this.#isAccepted) {
      const params = { task: this.#taskId, requestId, output: received };
      stream = stack.use(await openStream(controlSocket, "tasks.wait", params, options));
    } else {
      const begun = stack.use(await openStream(controlSocket, "tasks.run", { task, requestId }, options));
      this.#taskId = begun.result.taskId;
      this.#engine = begun.result.engine;
      if (task.stdin) void sendInput(begun, context);
      stream = begun;
    }
    this.#isAccepted = true;
    signals.accepted(this.#taskId);
    this.#signals = signals;
    // From here on they are ended by `onLost`, by disposal, or with the frames.
    stack.move();
    return stream;
  }
}
