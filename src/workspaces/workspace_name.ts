import { ApexError } from "../platform/apex_error.ts";
import { randomHex } from "../platform/random_hex.ts";

/** Hex digits of a suffix: enough for the few containers that are kept of one task id. */
const SUFFIX_BYTES = 2;

/**
 * A name for a task's container: `apex-task-<taskId>`, and when that is taken, with a short random suffix. The label
 * names the task, so a suffix never makes it another task's.
 */
export function freeContainerName(taskId: string, isTaken: (name: string) => boolean): string {
  const plain = plainContainerName(taskId);
  for (let name = plain;; name = `${plain}-${randomHex(SUFFIX_BYTES)}`) {
    if (!isTaken(name)) return name;
  }
}

/** That of a task's container unless it is taken. */
export function plainContainerName(taskId: string): string {
  return `apex-task-${taskId}`;
}

/** Whether the engine refused to create a container because of its name. Podman's status for that is a 500. */
export function isNameTaken(error: unknown): boolean {
  return error instanceof ApexError && /\bname\b.*\balready in use\b/i.test(error.message);
}
