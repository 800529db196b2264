import type { Task } from "../../orchestrator/task.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { KeptOutputFacts } from "../../protocol/control.ts";
import type { StoredOutput, TaskOutputs } from "../../storage/task_outputs.ts";
import { selectOutput } from "./kept_output.ts";

export interface KeptTaskOutputOptions {
  readonly outputs: Pick<TaskOutputs, "get">;
  /** Whether output is kept where apex removes a container. */
  readonly keepsOutput: boolean;
}

/** What is kept of the output of a task whose container was removed, and why nothing is. */
export class KeptTaskOutput {
  readonly #options: KeptTaskOutputOptions;

  constructor(options: KeptTaskOutputOptions) {
    this.#options = options;
  }

  /** @throws {ApexError} `not_found` when nothing is kept */
  get(task: Task): StoredOutput {
    const output = this.#options.outputs.get(task);
    if (output !== undefined && output.missing === undefined) return output;
    const { taskId, run, state } = task;
    const why = output?.missing ?? this.#whyNothingIsKept(task);
    throw new ApexError("not_found", `there is no output of ${taskId}@${run} (${state}): ${why}`);
  }

  /** For `inspect`. */
  facts(task: Task): KeptOutputFacts | undefined {
    const output = this.#options.outputs.get(task);
    if (output === undefined) return undefined;
    const { keptBytes: bytes, isCut } = selectOutput(output, {});
    return { bytes, isCut, ...(output.missing !== undefined && { missing: output.missing }) };
  }

  #whyNothingIsKept({ startedAt, endedAt }: Task): string {
    if (startedAt === undefined) return endedAt === undefined ? "it has not started yet" : "it never started";
    if (this.#options.keepsOutput) {
      return "its container was removed by another program, and only apex keeps the output";
    }
    return 'its container was removed, and the configuration has keep_output = "0" (--keep leaves a container)';
  }
}
