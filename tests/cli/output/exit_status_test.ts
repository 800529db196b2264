import { assertEquals } from "@std/assert";
import { exitStatusOf, explainEnd } from "../../../src/cli/output/exit_status.ts";
import type { TaskResult } from "../../../src/protocol/task_operations.ts";
import { taskResult } from "../../support/daemons/task_result.ts";

type End = Pick<TaskResult, "state" | "reason" | "exitCode">;

const ends: [end: End, status: number][] = [
  [{ state: "completed", reason: "exit", exitCode: 0 }, 0],
  [{ state: "failed", reason: "exit", exitCode: 3 }, 3],
  [{ state: "failed", reason: "exit" }, 1],
  [{ state: "failed", reason: "signal", exitCode: 143 }, 143],
  [{ state: "failed", reason: "signal" }, 137],
  [{ state: "failed", reason: "oom", exitCode: 137 }, 137],
  [{ state: "failed", reason: "oom", exitCode: 0 }, 137],
  [{ state: "failed", reason: "timeout", exitCode: 143 }, 124],
  [{ state: "failed", reason: "lost" }, 125],
  [{ state: "failed", reason: "error" }, 125],
  [{ state: "failed", reason: "error", exitCode: 1 }, 125],
  [{ state: "failed", reason: "error", exitCode: 126 }, 126],
  [{ state: "failed", reason: "error", exitCode: 127 }, 127],
  [{ state: "cancelled" }, 130],
  [{ state: "cancelled", exitCode: 0 }, 130],
  [{ state: "cancelled", exitCode: 143 }, 143],
];

for (const [end, status] of ends) {
  Deno.test(`exitStatusOf(${JSON.stringify(end)}) is ${status}`, () => {
    const { reason: _reason, exitCode: _exitCode, ...task } = taskResult();
    assertEquals(exitStatusOf({ ...task, ...end }), status);
  });
}

const explanations: [given: Partial<TaskResult>, text: string | undefined][] = [
  [{}, undefined],
  [{ state: "failed", exitCode: 3 }, undefined],
  [{ state: "failed", reason: "signal", exitCode: 137 }, undefined],
  [{ state: "failed", reason: "oom", exitCode: 137 }, "task t1 ran out of memory"],
  [{ state: "failed", reason: "timeout" }, "task t1 was stopped: it exceeded its time limit (--timeout)"],
  [{ state: "failed", reason: "error", error: "no\nimage" }, "task t1 failed: no\\x0aimage"],
  [{ state: "failed", reason: "error" }, "task t1 failed: it could not be started"],
  [
    { state: "failed", reason: "lost" },
    "task t1 is lost: its container disappeared, and its exit status is unknown",
  ],
  [{ state: "cancelled" }, "task t1 was cancelled"],
];

for (const [given, text] of explanations) {
  Deno.test(`explainEnd(${JSON.stringify(given)}) returns ${JSON.stringify(text)}`, () => {
    assertEquals(explainEnd(taskResult(given)), text);
  });
}
