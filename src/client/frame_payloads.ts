/** Validates the JSON payloads of frames. */
import * as v from "valibot";
import { ApexError, messageOf } from "../platform/apex_error.ts";
import { logsEndSchema, type WaitEnd, waitEndSchema } from "../protocol/container_operations.ts";
import { type Frame, frameJson } from "../protocol/frames.ts";
import {
  pendingSchema,
  type PullProgressPayload,
  pullProgressSchema,
  taskExitSchema,
  type TaskResult,
} from "../protocol/task_operations.ts";

/** The state of an image's pull, from a `progress` frame. @throws {ApexError} `protocol` */
export function pullProgressOf(frame: Frame): PullProgressPayload {
  return payloadOf(frame, pullProgressSchema);
}

/** The number of tasks that must end first, from a `pending` frame. @throws {ApexError} `protocol` */
export function aheadOf(frame: Frame): number {
  return payloadOf(frame, pendingSchema).ahead;
}

/** How a task ended. */
export interface EndedTask {
  readonly task: TaskResult;
  /** Why some of its output may be missing. */
  readonly outputError?: string | undefined;
}

/**
 * From the `exit` frame of `tasks.run` and `tasks.wait`.
 *
 * @throws {ApexError} `protocol`; `failed` if the daemon does not know how the task ended
 */
export function endedTaskOf(frame: Frame): EndedTask {
  const exit = payloadOf(frame, taskExitSchema);
  if ("error" in exit) throw new ApexError("failed", `the daemon lost track of the task: ${exit.error}`);
  return exit;
}

/** How a wait ended, from the `exit` frame of `containers.wait`. @throws {ApexError} `protocol` */
export function waitEndOf(frame: Frame): WaitEnd {
  return payloadOf(frame, waitEndSchema);
}

/** Why the output ended early, from the `exit` frame of `containers.logs`. @throws {ApexError} `protocol` */
export function logErrorOf(frame: Frame): string | undefined {
  return payloadOf(frame, logsEndSchema).error;
}

function payloadOf<T>(frame: Frame, schema: v.GenericSchema<unknown, T>): T {
  try {
    return v.parse(schema, frameJson(frame));
  } catch (error) {
    throw new ApexError("protocol", `the daemon sent an invalid ${frame.kind} frame: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
