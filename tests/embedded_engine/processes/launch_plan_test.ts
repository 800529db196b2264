import { assertEquals, assertRejects } from "@std/assert";
import {
  commandOf,
  LaunchError,
  type LaunchPlan,
  planLaunch,
} from "../../../src/embedded_engine/processes/launch_plan.ts";
import { parseCreateRequest } from "../../../src/embedded_engine/spec/create_request.ts";
import { TempDir } from "../../support/temp_dir.ts";

const CONTAINER_ID = "abcdef".repeat(12);

/** `dir` is the container's home. It has the program `bin/tool` and a file that is not executable. */
async function makeMachine(): Promise<TempDir> {
  const temp = await TempDir.make();
  await Deno.mkdir(temp.join("bin"));
  await Deno.writeTextFile(temp.join("bin/tool"), "#!/bin/sh\n", { mode: 0o755 });
  await Deno.writeTextFile(temp.join("bin/plain"), "", { mode: 0o644 });
  return temp;
}

function plan(
  dir: string,
  command: readonly string[],
  config: Record<string, unknown> = {},
): Promise<LaunchPlan> {
  const { spec } = parseCreateRequest({ Image: "busybox", Env: [`PATH=/nope:${dir}/bin`], ...config });
  return planLaunch(command, { containerId: CONTAINER_ID, spec, homeDir: dir });
}

Deno.test("planLaunch() finds a program in the container's PATH, and starts it in its home", async () => {
  await using machine = await makeMachine();
  const dir = machine.path;
  assertEquals(await plan(dir, ["tool", "-x", ""]), {
    program: `${dir}/bin/tool`,
    args: ["-x", ""],
    cwd: dir,
    env: { PATH: `/nope:${dir}/bin`, HOSTNAME: "abcdefabcdef", HOME: dir },
  });
});

Deno.test("planLaunch() uses the last value of a variable, and a bare name unsets it", async () => {
  await using machine = await makeMachine();
  const Env = ["A=1", "A=2=3", "B=1", "B", "HOSTNAME", "E="];
  const { env } = await plan(machine.path, ["/bin/sh"], { Env });
  assertEquals(env, {
    A: "2=3",
    E: "",
    HOME: machine.path,
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  });
});

Deno.test("planLaunch() starts a program in the requested working directory", async () => {
  await using machine = await makeMachine();
  const { cwd, program } = await plan(machine.path, ["./tool"], { WorkingDir: machine.join("bin") });
  assertEquals([cwd, program], [machine.join("bin"), machine.join("bin/tool")]);
});

/** DIR is replaced by the directory. */
const FAILURES: readonly (readonly [string, Record<string, unknown>, number, string])[] = [
  ["nosuch", {}, 127, `exec: "nosuch": executable file not found in $PATH`],
  ["", {}, 127, `exec: "": executable file not found in $PATH`],
  ["plain", {}, 127, `exec: "plain": executable file not found in $PATH`],
  ["/nope/x", {}, 127, `exec: "/nope/x": stat /nope/x: no such file or directory`],
  ["bin/tool/x", {}, 127, `exec: "bin/tool/x": stat bin/tool/x: no such file or directory`],
  ["bin/plain", {}, 126, `exec: "bin/plain": permission denied`],
  ["./bin", {}, 126, `exec: "./bin": permission denied`],
  [
    "tool",
    { WorkingDir: "/nope" },
    127,
    `chdir to cwd ("/nope") set in config.json failed: no such file or directory`,
  ],
];

for (const [command, config, exitCode, detail] of FAILURES) {
  Deno.test(`planLaunch() fails with ${exitCode} for ${JSON.stringify(command)} ${JSON.stringify(config)}`, async () => {
    await using machine = await makeMachine();
    const error = await assertRejects(() => plan(machine.path, [command], config), LaunchError, detail);
    assertEquals(error.exitCode, exitCode);
  });
}

for (
  const [config, command] of [
    [{ Cmd: ["a", "b"] }, ["a", "b"]],
    [{ Entrypoint: ["e"], Cmd: ["a"] }, ["e", "a"]],
    [{ Entrypoint: "e" }, ["e"]],
    [{ Cmd: [], Entrypoint: null }, ["sh"]],
  ] as const
) {
  Deno.test(`commandOf() joins ${JSON.stringify(config)}`, () => {
    assertEquals([...commandOf(parseCreateRequest({ Image: "busybox", ...config }).spec)], [...command]);
  });
}
