import { assertEquals } from "@std/assert";
import {
  dateOf,
  endOfExit,
  endOfFailure,
  exitOfCode,
  type TaskExit,
} from "../../src/orchestrator/task_end.ts";

const at = new Date(0);
const exit = (exitCode?: number, rest: Partial<TaskExit> = {}): TaskExit => ({
  ...(exitCode !== undefined && { exitCode }),
  oomKilled: false,
  bySignal: false,
  at,
  ...rest,
});

Deno.test("endOfExit() derives state and reason", () => {
  const table: [TaskExit, Parameters<typeof endOfExit>[1], unknown][] = [
    [exit(0), undefined, { state: "completed", reason: "exit", exitCode: 0 }],
    [exit(3), undefined, { state: "failed", reason: "exit", exitCode: 3 }],
    [exit(137, { bySignal: true }), undefined, { state: "failed", reason: "signal", exitCode: 137 }],
    [exit(137, { oomKilled: true, bySignal: true }), undefined, {
      state: "failed",
      reason: "oom",
      exitCode: 137,
    }],
    // The kernel killed a child process, and the command continued.
    [exit(0, { oomKilled: true }), undefined, { state: "completed", reason: "exit", exitCode: 0 }],
    [exit(), undefined, { state: "failed", reason: "lost" }],
    [exit(0), "timeout", { state: "failed", reason: "timeout", exitCode: 0 }],
    [exit(), "timeout", { state: "failed", reason: "timeout" }],
    [exit(143, { bySignal: true }), "cancel", { state: "cancelled", reason: "signal", exitCode: 143 }],
    [exit(0), "cancel", { state: "cancelled", reason: "exit", exitCode: 0 }],
    [exit(), "cancel", { state: "cancelled" }],
  ];
  for (const [input, cause, end] of table) assertEquals(endOfExit(input, cause) as unknown, end);
});

Deno.test("exitOfCode() treats 128 + n as a signal", () => {
  const isSignal = (code: number): boolean => exitOfCode(code, at).bySignal;
  assertEquals([0, 1, 128, 129, 137, 143, 159, 160, 255].map(isSignal), [
    ...[false, false, false, true, true, true, true, false, false],
  ]);
});

Deno.test("endOfFailure() derives 127 and 126 from the messages of the runtimes", () => {
  const table: [string, number | undefined][] = [
    [
      'OCI runtime create failed: runc create failed: unable to start container process: exec: "x": ' +
      "executable file not found in $PATH: unknown",
      127,
    ],
    ['starting container process caused: exec: "/x": stat /x: no such file or directory: unknown', 127],
    [
      "crun: executable file `x` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a " +
      "command that was not found",
      127,
    ],
    ['starting container process caused: exec: "/etc": permission denied: unknown', 126],
    ['exec: "/etc": is a directory: unknown', 126],
    ['chdir to cwd ("/x") set in config.json failed: no such file or directory', undefined],
    ["No such image: nosuch:latest", undefined],
  ];
  for (const [message, exitCode] of table) {
    assertEquals(endOfFailure(new Error(message)), {
      state: "failed",
      reason: "error",
      ...(exitCode !== undefined && { exitCode }),
      error: message,
    });
  }
  assertEquals(endOfFailure(new Error("x"), "cancel"), { state: "cancelled" });
});

Deno.test("dateOf() is undefined for the engine's never, and for invalid text", () => {
  assertEquals(dateOf("0001-01-01T00:00:00Z"), undefined);
  assertEquals(dateOf("2026-01-02T03:04:05.678901234Z"), new Date("2026-01-02T03:04:05.678Z"));
  assertEquals(dateOf("not a date"), undefined);
});
