/** What the frames of the streaming operations carry, validated. */
import * as v from "valibot";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { type TaskResult, taskSchema } from "../protocol/control.ts";
import { type Frame, frameJson } from "../protocol/frames.ts";

const count = v.pipe(v.number(), v.minValue(0));
const progressSchema = v.object({
  image: v.string(),
  /** The engine's own words: `Downloading`, `Pull complete` … */
  status: v.string(),
  layer: v.optional(v.string()),
  currentBytes: v.optional(count),
  totalBytes: v.optional(count),
});

/** How far an image's pull is. */
export type PullProgress = v.InferOutput<typeof progressSchema>;

/** Of a `progress` frame. @throws {ApexError} `protocol` */
export function pullProgressOf(frame: Frame): PullProgress {
  return payloadOf(frame, progressSchema);
}

/** Of a `pending` frame: how many tasks have their turn first. @throws {ApexError} `protocol` */
export function aheadOf(frame: Frame): number {
  return payloadOf(frame, v.object({ ahead: count })).ahead;
}

/** How a task ended. */
export interface EndedTask {
  readonly task: TaskResult;
  /** Why some of its output may be missing. */
  readonly outputError?: string | undefined;
}

const exitSchema = v.union([
  v.object({ task: taskSchema, outputError: v.optional(v.string()) }),
  v.object({ error: v.string() }),
]);

/**
 * Of the `exit` frame of `tasks.run` and `tasks.wait`.
 * @throws {ApexError} `protocol`; `failed` when the daemon could not find out
 */
export function endedTaskOf(frame: Frame): EndedTask {
  const exit = payloadOf(frame, exitSchema);
  if ("error" in exit) throw new ApexError("failed", `the daemon lost track of the task: ${exit.error}`);
  return exit;
}

const waitEndSchema = v.object({
  /** A task's end, where that was waited for. */
  task: v.optional(taskSchema),
  /** Of a container's last run, where that was waited for. */
  exitCode: v.optional(v.number()),
  /** Why what was waited for cannot be any more. */
  error: v.optional(v.string()),
});

/** How a wait ended. */
export type WaitEnd = v.InferOutput<typeof waitEndSchema>;

/** Of the `exit` frame of `containers.wait`. @throws {ApexError} `protocol` */
export function waitEndOf(frame: Frame): WaitEnd {
  return payloadOf(frame, waitEndSchema);
}

/** Of the `exit` frame of `containers.logs`: why there is no more, where that is no plain end. @throws {ApexError} `protocol` */
export function logErrorOf(frame: Frame): string | undefined {
  return payloadOf(frame, v.object({ error: v.optional(v.string()) })).error;
}

function payloadOf<T>(frame: Frame, schema: v.GenericSchema<unknown, T>): T {
  try {
    return v.parse(schema, frameJson(frame));
  } catch (error) {
    throw new ApexError(
      "protocol",
      `the daemon sent an invalid ${frame.kind} frame: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}
