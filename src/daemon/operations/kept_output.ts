/**
 * The stored output of a task. apex stores the end of it just before it removes the task's container, and `containers.logs`
 * sends it afterwards in the form in which the engine would have sent it.
 */
import { concat } from "@std/bytes/concat";
import type { ContainerManager } from "../../containers/container_manager.ts";
import { formatLogTime } from "../../engine/events/engine_time.ts";
import type { LogChunk } from "../../engine/logs/log_frames.ts";
import { decodeLogRecords, type LogRecord } from "../../engine/logs/log_tail.ts";
import type { Task } from "../../orchestrator/task.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { KeepOutputConfig } from "../../platform/config.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { Logger } from "../../platform/logger.ts";
import type { KeptOutputFacts } from "../../protocol/container_operations.ts";
import type { ControlRequestOf } from "../../protocol/operations.ts";
import type { RunKey, StoredOutput, TaskOutputs } from "../../storage/task_outputs.ts";
import type { TaskStore } from "../../storage/task_store.ts";
import type { LeavingContainer } from "../../workspaces/workspace.ts";
import type { OperationContext } from "./operation_context.ts";

/** Which part of the output a client asks for, in the terms of the engine's log. */
export type KeptOutputOptions = Partial<
  Pick<ControlRequestOf<"containers.logs">, "tail" | "sinceMs" | "timestamps">
>;

/** A part of a stored output. */
export interface SelectedOutput {
  readonly chunks: Iterable<LogChunk>;
  /** Size of the whole stored output, without times. */
  readonly keptBytes: number;
  /** The beginning of the requested part is not stored. */
  readonly isCut: boolean;
}

/** Adjacent records of one stream are joined up to this size. */
const CHUNK_BYTES = 64 * 1024;
const LF = 0x0a;

export function selectOutput(
  { records: bytes, isCut }: StoredOutput,
  options: KeptOutputOptions,
): SelectedOutput {
  const { tail, sinceMs = 0, timestamps = false } = options;
  const records = withLineStarts(decodeLogRecords(bytes));
  const sinceNano = BigInt(Math.floor(sinceMs)) * 1_000_000n;
  const firstInTime = records.findIndex(({ timeNano }) => timeNano >= sinceNano);
  const start = Math.max(firstInTime === -1 ? records.length : firstInTime, startOfTail(records, tail));
  return {
    chunks: joined(records.slice(start), timestamps),
    keptBytes: records.reduce((sum, { text }) => sum + text.length, 0),
    isCut: isCut && start === 0,
  };
}

interface LineRecord extends LogRecord {
  /** False for a record that continues a line. */
  readonly startsLine: boolean;
}

function withLineStarts(records: readonly LogRecord[]): LineRecord[] {
  const atLineStart = { stdout: true, stderr: true };
  return records.map((record) => {
    const { stream, text } = record;
    const startsLine = atLineStart[stream];
    atLineStart[stream] = text.at(-1) === LF;
    return { ...record, startsLine };
  });
}

function startOfTail(records: readonly LineRecord[], tail: number | undefined): number {
  if (tail === undefined) return 0;
  let start = records.length;
  for (let lines = 0; start > 0 && lines < tail; start--) if (records[start - 1]?.startsLine) lines++;
  return start;
}

function* joined(records: readonly LineRecord[], timestamps: boolean): Generator<LogChunk> {
  const encoder = new TextEncoder();
  let parts: Uint8Array[] = [];
  let bytes = 0;
  let current: LogChunk["stream"] = "stdout";
  const take = (): LogChunk => {
    const chunk = { stream: current, bytes: concat(parts) };
    parts = [];
    bytes = 0;
    return chunk;
  };
  for (const { stream, timeNano, text, startsLine } of records) {
    if (bytes > 0 && (stream !== current || bytes >= CHUNK_BYTES)) yield take();
    current = stream;
    const added = timestamps && startsLine ? [encoder.encode(`${formatLogTime(timeNano)} `), text] : [text];
    for (const part of added) {
      parts.push(part);
      bytes += part.length;
    }
  }
  if (bytes > 0) yield take();
}

/** Finds the stored output of a task whose container was removed, or the reason why no output is stored. */
export class KeptTaskOutput {
  readonly #keepsOutput: boolean;
  readonly #outputs: TaskOutputs;

  constructor({ keepsOutput, storage }: Pick<OperationContext, "keepsOutput" | "storage">) {
    this.#keepsOutput = keepsOutput;
    this.#outputs = storage.outputs;
  }

  /** The stored output of a task, if any. */
  find(task: Task): StoredOutput | undefined {
    const output = this.#outputs.get(task);
    return output?.missing === undefined ? output : undefined;
  }

  /** @throws {ApexError} `not_found` if no output is stored */
  get(task: Task): StoredOutput {
    const output = this.find(task);
    if (output !== undefined) return output;
    const { taskId, run, state } = task;
    const why = this.#outputs.get(task)?.missing ?? this.#whyNothingIsKept(task);
    throw new ApexError("not_found", `there is no output of ${taskId}@${run} (${state}): ${why}`);
  }

  /** For `containers.inspect`. */
  facts(task: Task): KeptOutputFacts | undefined {
    const output = this.#outputs.get(task);
    if (output === undefined) return undefined;
    const { keptBytes: bytes, isCut } = selectOutput(output, {});
    return definedFields({ bytes, isCut, missing: output.missing });
  }

  #whyNothingIsKept({ startedAt, endedAt }: Task): string {
    if (startedAt === undefined) return endedAt === undefined ? "it has not started yet" : "it never started";
    if (this.#keepsOutput) {
      return "its container was removed by another program, and only apex keeps the output";
    }
    return 'its container was removed, and the configuration has keep_output = "0" (--keep leaves a container)';
  }
}

export interface TaskOutputKeeperOptions {
  readonly containers: Pick<ContainerManager, "find" | "logTail">;
  readonly tasks: Pick<TaskStore, "runs">;
  readonly outputs: TaskOutputs;
  readonly limits: KeepOutputConfig;
  readonly logger: Logger;
}

export class TaskOutputKeeper {
  readonly #options: TaskOutputKeeperOptions;

  constructor(options: TaskOutputKeeperOptions) {
    this.#options = options;
  }

  /**
   * For the workspace manager, before it removes a container. Never rejects: the container is removed even if its output cannot
   * be stored; the reason is logged, and stored in place of the output.
   */
  readonly keep = async ({ taskId, containerId }: LeavingContainer, abort: AbortSignal): Promise<void> => {
    const { containers, tasks, limits: { maxBytes }, logger } = this.#options;
    const task = tasks.runs(taskId).find((run) => run.containerId === containerId);
    if (maxBytes === 0 || task === undefined || containers.find(containerId)?.state === "created") return;
    try {
      this.#store(task, await containers.logTail(containerId, { maxBytes, abort }));
    } catch (error) {
      // The daemon is ending, and the next one removes the container; or another program has removed it.
      if (abort.aborted || (error instanceof ApexError && error.code === "not_found")) return;
      logger.warn(`the output of task ${taskId} is not kept: ${messageOf(error)}`);
      this.#store(task, { records: new Uint8Array(0), isCut: true, missing: messageOf(error) });
    }
  };

  #store({ taskId, run }: RunKey, output: StoredOutput): void {
    const { outputs, limits: { maxTotalBytes }, logger } = this.#options;
    if (outputs.keep({ taskId, run }, output, { maxTotalBytes })) return;
    logger.warn(`the output of task ${taskId} is not kept: the database cannot be written`);
  }
}
