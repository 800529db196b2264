/** From a container's spec to a run of it: its directories, its program, its process. */
import { join } from "@std/path/posix";
import { SIGKILL } from "../../platform/signals.ts";
import { HttpError } from "../http/http_error.ts";
import { commandOf, planLaunch } from "../processes/launch_plan.ts";
import { PROCESS_FILE } from "../processes/process_file.ts";
import { checkSources } from "../spec/bind_mounts.ts";
import { ContainerRun, type ContainerRunOptions } from "./container_run.ts";

export interface LaunchOptions extends Omit<ContainerRunOptions, "processFile"> {
  /** The container's own directory. */
  readonly dir: string;
  /** Somebody has asked for its end meanwhile: it was removed, or stopped in its back-off, or the engine closes. */
  readonly isUnwanted: () => boolean;
}

/**
 * Starts a container's command.
 * @throws {HttpError} 409 when it is unwanted, 400 for a mount that cannot be; {LaunchError} when the program cannot be
 * executed; else what spawning throws
 */
export async function launchContainer(options: LaunchOptions): Promise<ContainerRun> {
  const { containerId, spec, dir, homeDir, isUnwanted } = options;
  try {
    await Deno.mkdir(homeDir, { recursive: true, mode: 0o700 });
    await checkSources(spec.mounts, { make: true });
    const plan = await planLaunch(commandOf(spec), { containerId, spec, homeDir });
    if (isUnwanted()) throw startIsUnwanted();
    const run = await ContainerRun.start(plan, { ...options, processFile: join(dir, PROCESS_FILE) });
    if (isUnwanted()) await end(run);
    return run;
  } catch (error) {
    throw isUnwanted() ? startIsUnwanted() : error; // Whatever failed, it was in vain.
  }
}

async function end(run: ContainerRun): Promise<never> {
  run.signal(SIGKILL);
  await run.ended;
  throw startIsUnwanted();
}

function startIsUnwanted(): HttpError {
  return new HttpError(409, "container is marked for removal and cannot be started");
}
