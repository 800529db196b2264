/**
 * From the spec of a container to a process on this machine: which program, in which directory, with which environment.
 * A command that cannot be run is reported with runc's messages and exit codes, as Docker's users know them.
 */
import { join, resolve } from "@std/path/posix";
import type { CreateSpec } from "../spec/create_request.ts";
import { shortId } from "../spec/names.ts";

/** The PATH that a Docker container has by default. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A command that cannot be run: 127 when it does not exist, 126 when it is not executable. */
export class LaunchError extends Error {
  override readonly name: string = "LaunchError";
  readonly exitCode: 126 | 127;
  /** The part of the message that is the same for containers and execs. */
  readonly detail: string;

  constructor(exitCode: 126 | 127, detail: string, options?: ErrorOptions) {
    super(
      "failed to create shim task: OCI runtime create failed: runc create failed: " +
        `unable to start container process: ${detail}: unknown`,
      options,
    );
    this.exitCode = exitCode;
    this.detail = detail;
  }
}

/** What is needed to spawn a process. */
export interface LaunchPlan {
  /** Absolute path of the program. */
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment; nothing is inherited from the engine. */
  readonly env: Readonly<Record<string, string>>;
}

export interface PlanOptions {
  readonly containerId: string;
  readonly spec: CreateSpec;
  /** HOME of the container, and its working directory unless the spec has another. */
  readonly homeDir: string;
}

/** @throws {LaunchError} when the command or the working directory does not exist, or the command is not executable */
export async function planLaunch(command: readonly string[], options: PlanOptions): Promise<LaunchPlan> {
  const { spec, homeDir, containerId } = options;
  const cwd = spec.workingDir === "" ? homeDir : spec.workingDir;
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOSTNAME: shortId(containerId),
    HOME: homeDir,
    ...spec.tty && { TERM: "xterm" },
  };
  for (const variable of spec.env) {
    const equals = variable.indexOf("=");
    // As in Docker, a bare name unsets the variable. (The docker CLI replaces one by the value that it has itself.)
    if (equals < 0) delete env[variable];
    else env[variable.slice(0, equals)] = variable.slice(equals + 1);
  }
  if (!(await isDirectory(cwd))) {
    throw new LaunchError(
      127,
      `chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed: no such file or directory`,
    );
  }
  const [name = "", ...args] = command;
  return { program: await findProgram(name, { cwd, path: env["PATH"] ?? "" }), args, cwd, env };
}

/** The process of a plan, with exactly the plan's environment. */
export function toCommand(
  { program, args, cwd, env }: LaunchPlan,
  options: Pick<Deno.CommandOptions, "detached" | "stdin" | "stdout" | "stderr">,
): Deno.Command {
  return new Deno.Command(program, { ...options, args: [...args], cwd, env: { ...env }, clearEnv: true });
}

/** The command line of a container: Docker joins entrypoint and command. */
export function commandOf(spec: CreateSpec): readonly string[] {
  return [...spec.entrypoint ?? [], ...spec.cmd ?? []];
}

async function findProgram(name: string, { cwd, path }: { cwd: string; path: string }): Promise<string> {
  if (name.includes("/")) {
    const program = resolve(cwd, name);
    const found = await executableState(program);
    if (found === "executable") return program;
    if (found === "absent") {
      throw new LaunchError(127, `exec: ${JSON.stringify(name)}: stat ${name}: no such file or directory`);
    }
    throw new LaunchError(126, `exec: ${JSON.stringify(name)}: permission denied`);
  }
  const directories = path.split(":").map((directory) => directory === "" ? cwd : directory);
  const program = name === "" ? undefined : await findInPath(name, directories.join(":"));
  if (program !== undefined) return program;
  throw new LaunchError(127, `exec: ${JSON.stringify(name)}: executable file not found in $PATH`);
}

/** The first program of that name in the directories of a PATH. */
export async function findInPath(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(":")) {
    const program = join(directory, name);
    if (await executableState(program) === "executable") return program;
  }
  return undefined;
}

async function executableState(path: string): Promise<"executable" | "refused" | "absent"> {
  const info = await statOrUndefined(path);
  if (info === undefined) return "absent";
  return info.isFile && ((info.mode ?? 0) & 0o111) !== 0 ? "executable" : "refused";
}

async function isDirectory(path: string): Promise<boolean> {
  return (await statOrUndefined(path))?.isDirectory ?? false;
}

async function statOrUndefined(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    // Missing, not readable, or below a file: all mean that a command does not exist.
    if (
      error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
      error instanceof Deno.errors.NotADirectory
    ) {
      return undefined;
    }
    throw error;
  }
}
