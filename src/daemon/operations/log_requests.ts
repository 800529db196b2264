/**
 * The operation `containers.logs`. A client can continue a stream with `follow` through another daemon: its beginning is a
 * point in time, not a number of lines. While a client follows a task, apex does not remove the container of the ended task.
 */
import type { LogsOptions } from "../../engine/logs/container_logs.ts";
import type { Task } from "../../orchestrator/task.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { settlesWithin } from "../../platform/async/wait.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { encodeJsonFrame } from "../../protocol/frames.ts";
import type { ControlRequestOf } from "../../protocol/operations.ts";
import type { OutputPosition } from "../../protocol/task_operations.ts";
import type { AnswerOf } from "../control_socket/answer.ts";
import { type ControlChannel, isDaemonEnding } from "../control_socket/control_channel.ts";
import { type KeptTaskOutput, type SelectedOutput, selectOutput } from "./kept_output.ts";
import type { OperationContext } from "./operation_context.ts";
import type { ResolvedTarget, Targets } from "./targets.ts";
import { type OutputSelection, sendOutput, TaskOutput, withoutReceived } from "./task_output.ts";

type Context = Pick<OperationContext, "containers" | "orchestrator" | "clock">;
export type LogRequestsOptions = Context & { readonly targets: Targets; readonly kept: KeptTaskOutput };

type LogsRequest = ControlRequestOf<"containers.logs">;

/** An engine that takes longer to remove a container may have failed: its log is read as far as possible. */
const REMOVED_WITHIN_MS = 5_000;
const NOTHING: OutputPosition = { stdout: 0, stderr: 0 };
/**
 * Without a number of lines, an engine reads the whole log to find a point in time. The limit is the requested number plus what
 * a program may have written since the beginning of those lines was found.
 */
const LINES_WRITTEN_SINCE = 100_000;

export class LogRequests {
  readonly #options: LogRequestsOptions;

  constructor(options: LogRequestsOptions) {
    this.#options = options;
  }

  /**
   * For a task whose container was removed, sends the stored end of its output.
   *
   * @throws {ApexError} `not_found`; `conflict` for an ambiguous id; the engine's error
   */
  async logs(request: LogsRequest, abort: AbortSignal): Promise<AnswerOf<"containers.logs">> {
    await this.#untilRemoved(request, abort);
    const { container, task, resolved } = this.#options.targets.find(request.target);
    if (container === undefined) return this.#keptAnswer(task, { request, resolved });
    const { id } = container;
    // From here on, apex does not remove the container.
    const followed = request.follow && task !== undefined ? this.#followed(task) : undefined;
    let start: string | undefined;
    try {
      start = await this.#startOf(request, { id, abort });
    } catch (error) {
      followed?.done();
      if (task !== undefined && isNotFound(error) && this.#options.kept.find(task)) {
        return this.#keptAnswer(task, { request, resolved });
      }
      throw error;
    }
    const result = { ...resolved, containerId: id, ...(start !== undefined && { start }) };
    // If the last lines cannot be found again, the log is read once.
    const isOnce = request.tail !== undefined && start === undefined;
    if (isOnce) followed?.done();
    return {
      result,
      stream: followed === undefined || isOnce
        ? (channel) => this.#send(channel, { request, id, task, start })
        : (channel) => this.#follow(channel, { request, id, start, ...followed }),
    };
  }

  /** Engines send an incomplete log of a container that they are removing, and not all of them report that. */
  async #untilRemoved({ target }: LogsRequest, abort: AbortSignal): Promise<void> {
    const { targets, orchestrator, clock } = this.#options;
    const { task } = targets.find(target);
    if (task === undefined) return;
    const { leaving } = orchestrator.followTask(task.taskId, { run: task.run });
    if (leaving !== undefined) await settlesWithin(leaving, { timeoutMs: REMOVED_WITHIN_MS, clock, abort });
  }

  async #startOf(
    { start, follow, tail, sinceMs }: LogsRequest,
    { id, abort }: { readonly id: string; readonly abort: AbortSignal },
  ): Promise<string | undefined> {
    if (start !== undefined || !follow || tail === undefined) return start;
    return await this.#options.containers.logStart(id, { tail, sinceMs, abort });
  }

  /** Undefined if the task has ended and no client has requested its output since: the log is then read like any container's. */
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
    const output = new TaskOutput({
      containers,
      containerId: id,
      selection: selectionOf(request, start),
      received: request.received ?? NOTHING,
      ended,
      channel,
      clock,
    });
    let error: string | undefined;
    try {
      error = await output.relay();
    } finally {
      // When the daemon ends, its client has not hung up: the next daemon keeps the container for it.
      if (!isDaemonEnding(channel)) done();
    }
    await sendEnd(channel, error);
  }

  async #send(channel: ControlChannel, { request, id, task, start }: Reading): Promise<void> {
    const { follow = false, tail, received = NOTHING } = request;
    const limit = tail !== undefined && follow && start !== undefined ? tail + LINES_WRITTEN_SINCE : tail;
    const options: LogsOptions = {
      ...selectionOf(request, start),
      ...(limit !== undefined && { tail: limit }),
      follow,
      abort: channel.abortSignal,
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
      channel.abortSignal.throwIfAborted();
      // The container was removed, and its event has not arrived yet.
      const kept = task && isNotFound(error) && !hasBegun ? this.#options.kept.find(task) : undefined;
      failure = kept === undefined
        ? messageOf(error)
        : await sendKept(channel, selectOutput(kept, request), received);
    }
    await sendEnd(channel, failure);
  }

  #keptAnswer(
    task: Task,
    { request, resolved }: { readonly request: LogsRequest; readonly resolved: ResolvedTarget },
  ): AnswerOf<"containers.logs"> {
    const { received = NOTHING } = request;
    const selected = selectOutput(this.#options.kept.get(task), request);
    return {
      result: { ...resolved, kept: { bytes: selected.keptBytes, isCut: selected.isCut } },
      stream: async (channel) => await sendEnd(channel, await sendKept(channel, selected, received)),
    };
  }
}

/** A task whose container apex does not remove until `done` is called. */
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

function isNotFound(error: unknown): boolean {
  return error instanceof ApexError && error.code === "not_found";
}

function selectionOf({ sinceMs, timestamps }: LogsRequest, start: string | undefined): OutputSelection {
  return definedFields({ start, sinceMs, timestamps });
}

/** Resolves with the reason if the client cannot continue. */
async function sendKept(
  channel: ControlChannel,
  { chunks, isCut }: SelectedOutput,
  received: OutputPosition,
): Promise<string | undefined> {
  if (isCut && received.stdout + received.stderr > 0) {
    return "the container was removed, and only the end of its output is kept";
  }
  const left = { ...received };
  for (const chunk of chunks) await sendOutput(channel, withoutReceived(chunk, left));
  return undefined;
}

async function sendEnd(channel: ControlChannel, error: string | undefined): Promise<void> {
  await channel.send(encodeJsonFrame("exit", error === undefined ? {} : { error }));
}
