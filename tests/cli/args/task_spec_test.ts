import { assertEquals, assertThrows } from "@std/assert";
import { type TaskFlags, taskSpecOf } from "../../../src/cli/args/task_spec.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { TaskSpecRequest } from "../../../src/protocol/task_operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";

const context = testContext({
  stdout: new CapturedOutput(),
  cwd: "/home/me/project",
  env: (name) => name === "FROM_HERE" ? "here=1" : undefined,
});

function specOf(flags: TaskFlags, command: string[] = []): TaskSpecRequest {
  return taskSpecOf(flags, { command, context });
}

const cases: [name: string, flags: TaskFlags, spec: TaskSpecRequest][] = [
  ["nothing", {}, {}],
  ["names", { task: "t", image: "i", network: "none", user: "1:2", workdir: "/w" }, {
    taskId: "t",
    image: "i",
    network: "none",
    user: "1:2",
    workdir: "/w",
  }],
  ["an entrypoint", { entrypoint: "/bin/sh" }, { entrypoint: ["/bin/sh"] }],
  [
    "variables, with some from this environment",
    { env: ["A=1", "B=", "C=x=y\nz", "FROM_HERE", "NOT_SET"] },
    { env: { A: "1", B: "", C: "x=y\nz", FROM_HERE: "here=1" } },
  ],
  ["mounts", { volume: ["/a:/b", "./src:/src:ro", "..:/up:rw", "cache:/var/cache"] }, {
    mounts: [
      { source: "/a", target: "/b" },
      { source: "/home/me/project/src", target: "/src", readOnly: true },
      { source: "/home/me", target: "/up" },
      { source: "cache", target: "/var/cache" },
    ],
  }],
  ["limits", { cpus: "0.5", memory: "1g", pids: "100", timeout: "1h30m" }, {
    cpus: 0.5,
    memoryBytes: 2 ** 30,
    pidsLimit: 100,
    timeoutMs: 5_400_000,
  }],
  ["--mount", { mount: true }, { projectDir: "/home/me/project" }],
  ["labels", { label: ["a=1", "b", "c=x=y"] }, { labels: { a: "1", b: "", c: "x=y" } }],
  ["ports", { publish: ["80", "8080:80/udp"] }, {
    ports: [{ containerPort: 80, protocol: "tcp" }, { containerPort: 80, hostPort: 8080, protocol: "udp" }],
  }],
  ["all GPUs", { gpus: "all" }, { gpus: "all" }],
  ["a number of GPUs", { gpus: "2" }, { gpus: 2 }],
  ["GPUs by their ids", { gpus: "device=0,GPU-3a" }, { gpus: ["0", "GPU-3a"] }],
  ["GPUs in Docker's quotes", { gpus: '"device=0,1"' }, { gpus: ["0", "1"] }],
  ["--pull", { pull: "never" }, { pull: "never" }],
  ["--interactive", { interactive: true }, { stdin: true }],
  ["--rm, which is the default", { rm: true, keepOnFailure: true }, { keepOnFailure: true }],
  ["--keep and --keep-on-failure", { keep: true, keepOnFailure: true }, { keep: true, keepOnFailure: true }],
];

for (const [name, flags, spec] of cases) {
  Deno.test(`taskSpecOf() translates ${name}`, () => assertEquals(specOf(flags), spec));
}

Deno.test("taskSpecOf() does not split or join the words of the command", () => {
  assertEquals(specOf({}, ["sh", "-c", "echo a b"]), { cmd: ["sh", "-c", "echo a b"] });
});

const invalid: [flags: TaskFlags, message: string][] = [
  [{ memory: "12x" }, '--memory: invalid size "12x"'],
  [{ memory: "0" }, '--memory: "0" must be greater than 0'],
  [{ cpus: "two" }, '--cpus: "two" must be a positive number'],
  [{ cpus: "0" }, '--cpus: "0" must be greater than 0'],
  [{ pids: "1.5" }, '--pids: "1.5" must be a positive integer'],
  [{ timeout: "soon" }, '--timeout: invalid duration "soon"'],
  [{ timeout: "0s" }, '--timeout: "0s" must be greater than 0'],
  [{ env: ["=x"] }, '-e: "=x" has no name'],
  [{ env: [""] }, '-e: "" has no name'],
  [{ label: ["=x"] }, '--label: "=x" has no name'],
  [{ label: ["apex.task-id=t2"] }, 'labels that start with "apex." are reserved'],
  [{ publish: ["http"] }, '-p: invalid port mapping "http"'],
  [{ gpus: "some" }, '--gpus: "some" must be all, a number, or device=ID'],
  [{ gpus: "0" }, '--gpus: "0" must be all'],
  [{ gpus: "device=" }, '--gpus: "device=" must be all'],
  [{ gpus: "device=," }, '--gpus: "device=," must be all'],
  [{ rm: true, keep: true }, "--rm and --keep cannot be combined"],
  [{ interactive: true, detach: true }, "-i and -d cannot be combined"],
  [{ volume: ["no-target"] }, '-v: invalid mount "no-target"'],
  [{ volume: ["/a:"] }, '-v: invalid mount "/a:"'],
  [{ volume: ["/a:/b:readonly"] }, '-v: invalid mount "/a:/b:readonly"'],
  [{ volume: ["/a:/b:ro:z"] }, '-v: invalid mount "/a:/b:ro:z"'],
  [{ volume: ["/a:b"] }, "b must be an absolute path"],
];

for (const [flags, message] of invalid) {
  Deno.test(`taskSpecOf(${JSON.stringify(flags)}) is rejected with the name of the flag`, () => {
    assertEquals(assertThrows(() => specOf(flags), ApexError, message).code, "usage");
  });
}

Deno.test("taskSpecOf() points to apex attach when -t requests a terminal", () => {
  const error = assertThrows(() => specOf({ tty: true, interactive: true }, ["bash", "-l"]), ApexError);
  assertEquals([error.code, error.message], [
    "usage",
    "-t: apex run does not provide a terminal; use apex attach instead: apex attach NAME -- bash -l",
  ]);
});
