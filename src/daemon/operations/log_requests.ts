/**
 * The operation `containers.logs`. What is followed can be continued through another daemon: its beginning is a point in
 * time, not a number of lines, and while a client follows a task, the container of the ended task is left to it.
 */
import type { ContainerManager } from "../../containers/container_manager.ts";
import type { LogsOptions } from "../../engine/logs/container_logs.ts";
import type { LogChunk } from "../../engine/logs/log_frames.ts";
import type { ApexOrchestrator } from "../../orchestrator/apex_orchestrator.ts";
import type { Task } from "../../orchestrator/task.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { settlesWithin } from "../../platform/async/wait.ts";
import type { Clock } from "../../platform/clock.ts";
import type { ControlRequestOf, OutputPosition } from "../../protocol/control.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { TaskOutputs } from "../../storage/task_outputs.ts";
import { type ControlChannel, DaemonEndingError } from "../control_socket/control_channel.ts";
import type { StreamReply } from "../control_socket/control_server.ts";
import { type KeptTaskOutput, selectOutput } from "./kept_output.ts";
import type { Targets } from "./targets.ts";
import { type OutputSelection, sendOutput, TaskOutput, withoutReceived } from "./task_output.ts";

export interface LogRequestsOptions {
  readonly containers: ContainerManager;
  readonly orchestrator: Pick<ApexOrchestrator, "followTask">;
  readonly targets: Targets;
  readonly outputs: Pick<TaskOutputs, "get">;
  readonly kept: KeptTaskOutput;
  readonly clock: Clock;
}

type LogsRequest = ControlRequestOf<"containers.logs">;

/** An engine that takes longer may have failed: its log is read as far as it goes. */
const REMOVED_WITHIN_MS = 5_000;
const NONE: OutputPosition = { stdout: 0, stderr: 0 };
/**
 * An engine reads the whole log to find a time in it, unless it is told how many lines to look at: those asked for, and as
 * many as a program may have written since their beginning was found.
 */
const LINES_WRITTEN_MEANWHILE = 100_000;

export class LogRequests {
  readonly #options: LogRequestsOptions;

  constructor(options: LogRequestsOptions) {
    this.#options = options;
  }

  /**
   * Of a task whose container was removed, what was kept of its output.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id; the engine's reason
   */
  async logs(request: LogsRequest, signal: AbortSignal): Promise<StreamReply> {
    await this.#untilLeft(request, signal);
    const { targets } = this.#options;
    const { container, task, name, others } = targets.find(request.target);
    const resolved = { target: name, ...(others.length > 0 && { others }) };
    if (container === undefined) return this.#keptReply(task, { request, resolved });
    const { id } = container;
    // Its container is left from here on.
    const followed = request.follow && task !== undefined ? this.#followed(task) : undefined;
    let start: string | undefined;
    try {
      start = await this.#startOf(request, { id, signal });
    } catch (error) {
      followed?.done();
      const isGone = task !== undefined && error instanceof ApexError && error.code === "not_found";
      if (isGone && this.#isKept(task)) return this.#keptReply(task, { request, resolved });
      throw error;
    }
    const result = { ...resolved, containerId: id, ...(start !== undefined && { start }) };
    // Where the last lines can't be found again, the log is read once.
    const isOnce = request.tail !== undefined && start === undefined;
    if (isOnce) followed?.done();
    const stream = followed === undefined || isOnce
      ? (channel: ControlChannel) => this.#send(channel, { request, id, task, start })
      : (channel: ControlChannel) => this.#follow(channel, { request, id, start, ...followed });
    return { ok: true, result, stream };
  }

  /** Engines give the log of a container that is just being removed incompletely, and not all of them say so. */
  async #untilLeft({ target }: LogsRequest, signal: AbortSignal): Promise<void> {
    const { targets, orchestrator, clock } = this.#options;
    const { task } = targets.find(target);
    if (task === undefined) return;
    const { leaving } = orchestrator.followTask(task.taskId, { run: task.run });
    if (leaving !== undefined) {
      await settlesWithin(leaving, { timeoutMs: REMOVED_WITHIN_MS, clock, abort: signal });
    }
  }

  async #startOf(
    { start, follow, tail, sinceMs }: LogsRequest,
    { id, signal }: { readonly id: string; readonly signal: AbortSignal },
  ): Promise<string | undefined> {
    if (start !== undefined || !follow || tail === undefined) return start;
    return await this.#options.containers.logStart(id, { tail, sinceMs, abort: signal });
  }

  #isKept(task: Task): boolean {
    const output = this.#options.outputs.get(task);
    return output !== undefined && output.missing === undefined;
  }

  /** Undefined when the task has ended, and nobody has asked for its output since: then it is read like any container's. */
  #followed({ taskId, run }: Task): Followed | undefined {
    const done = Promise.withResolvers<void>();
    const { orchestrator } = this.#options;
    if (orchestrator.followTask(taskId, { run }).isOutputTaken) return undefined;
    const { ended } = orchestrator.followTask(taskId, { run, holdCleanup: done.promise });
    return { ended, done: done.resolve };
  }

  async #follow(
    channel: ControlChannel,
    { request, id, start, ended, done }: Followed & Pick<Reading, "request" | "id" | "start">,
  ): Promise<void> {
    const { containers, clock } = this.#options;
    const { received = NONE } = request;
    const output = new TaskOutput({
      containers,
      containerId: id,
      selection: selectionOf(request, start),
      received,
      ended,
      channel,
      clock,
    });
    let error: string | undefined;
    try {
      error = await output.relay();
    } finally {
      // When the daemon ends, its client has not left: the next daemon leaves the container to it.
      if (!(channel.signal.reason instanceof DaemonEndingError)) done();
    }
    await channel.send(encodeJsonFrame("exit", error === undefined ? {} : { error }));
  }

  async #send(channel: ControlChannel, { request, id, task, start }: Reading): Promise<void> {
    const { follow = false, tail, received = NONE } = request;
    const options: LogsOptions = {
      ...selectionOf(request, start),
      ...tailOf({ tail, follow, start }),
      follow,
      abort: channel.signal,
    };
    let failure: string | undefined;
    let hasBegun = false;
    const left = { ...received };
    try {
      for await (const chunk of this.#options.containers.logs(id, options)) {
        hasBegun = true;
        await sendOutput(channel, withoutReceived(chunk, left));
      }
    } catch (error) {
      channel.signal.throwIfAborted();
      const isGone = task !== undefined && error instanceof ApexError && error.code === "not_found";
      // Its removal is done, and not told yet.
      const kept = isGone && !hasBegun ? this.#options.outputs.get(task) : undefined;
      if (kept === undefined || kept.missing !== undefined) failure = messageOf(error);
      else failure = await sendKept(channel, selectOutput(kept, request), received);
    }
    await channel.send(encodeJsonFrame("exit", failure === undefined ? {} : { error: failure }));
  }

  #keptReply(
    task: Task,
    { request, resolved }: { readonly request: LogsRequest; readonly resolved: object },
  ): StreamReply {
    const { received = NONE } = request;
    const selected = selectOutput(this.#options.kept.get(task), request);
    return {
      ok: true,
      result: { ...resolved, kept: { bytes: selected.keptBytes, isCut: selected.isCut } },
      stream: async (channel) => {
        const error = await sendKept(channel, selected, received);
        await channel.send(encodeJsonFrame("exit", error === undefined ? {} : { error }));
      },
    };
  }
}

/** A task whose container is left until `done` is called. */
interface Followed {
  readonly ended: Promise<unknown>;
  readonly done: () => void;
}

interface Reading {
  readonly request: LogsRequest;
  readonly id: string;
  readonly task: Task | undefined;
  readonly start: string | undefined;
}

function selectionOf({ sinceMs, timestamps }: LogsRequest, start: string | undefined): OutputSelection {
  return {
    ...(start !== undefined && { start }),
    ...(sinceMs !== undefined && { sinceMs }),
    ...(timestamps !== undefined && { timestamps }),
  };
}

function tailOf(
  { tail, follow, start }: {
    readonly tail: number | undefined;
    readonly follow: boolean;
    readonly start: string | undefined;
  },
): Pick<LogsOptions, "tail"> {
  if (tail === undefined) return {};
  return { tail: follow && start !== undefined ? tail + LINES_WRITTEN_MEANWHILE : tail };
}

/** Resolves with why it cannot be continued, if so. */
async function sendKept(
  channel: ControlChannel,
  { chunks, isCut }: { readonly chunks: Iterable<LogChunk>; readonly isCut: boolean },
  received: OutputPosition,
): Promise<string | undefined> {
  if (isCut && received.stdout + received.stderr > 0) {
    return "its container was removed meanwhile, and only the end of its output is kept";
  }
  const left = { ...received };
  for (const chunk of chunks) await sendOutput(channel, withoutReceived(chunk, left));
  return undefined;
}
