/**
 * The execs of one container. When the container's process exits, they are killed, and their ends are published before the
 * container's, as at the end of a pid namespace. None starts while the container does not run.
 */
import { join } from "@std/path/posix";
import { messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import { SIGKILL } from "../../platform/signals.ts";
import { HttpError } from "../http/http_message.ts";
import type { ContainerProcess } from "../processes/container_process.ts";
import { planLaunch } from "../processes/launch_plan.ts";
import { forgetProcess, PROCESS_FILE, rememberProcess } from "../processes/process_file.ts";
import { type SpawnOptions, spawnProcess } from "../processes/spawn_process.ts";
import type { CreateSpec } from "../spec/create_request.ts";
import type { ExecSpec } from "../spec/exec_request.ts";
import { randomId, shortId } from "../spec/names.ts";
import { EmbeddedExec } from "./embedded_exec.ts";

export interface ContainerExecsOptions {
  readonly containerId: string;
  readonly spec: CreateSpec;
  /** The container's own directory; it has a file for each exec that runs. */
  readonly dir: string;
  readonly homeDir: string;
  readonly logger: Logger;
  readonly publish: (action: string, attributes: Readonly<Record<string, string>>) => void;
}

export class ContainerExecs {
  readonly #options: ContainerExecsOptions;
  readonly #running = new Set<EmbeddedExec>();
  /** Background tasks that keep the files of the execs that run. */
  readonly #remembering = new Set<Promise<void>>();
  #isOpen = false;

  constructor(options: ContainerExecsOptions) {
    this.#options = options;
  }

  /** The execs that run, or are about to. */
  get running(): readonly EmbeddedExec[] {
    return [...this.#running];
  }

  create(spec: ExecSpec): EmbeddedExec {
    const { containerId, publish } = this.#options;
    const exec: EmbeddedExec = new EmbeddedExec({
      id: randomId(),
      containerId,
      spec,
      publish,
      launch: (spec, options) => this.#launch(exec, { spec, options }),
    });
    return exec;
  }

  /** The container's process runs: execs may start. */
  open(): void {
    this.#isOpen = true;
  }

  /** The container's process has exited: kills the execs, and waits for their ends. */
  async close(): Promise<void> {
    this.#isOpen = false;
    const ended = this.running.map((exec) => exec.ended);
    this.signal(SIGKILL);
    await Promise.all([...ended, ...this.#remembering]);
  }

  /** Signals each exec that runs. */
  signal(number: number): void {
    for (const exec of this.#running) exec.signal(number);
  }

  async #launch(
    exec: EmbeddedExec,
    { spec, options }: { spec: ExecSpec; options: SpawnOptions },
  ): Promise<ContainerProcess> {
    this.#running.add(exec);
    void exec.ended.then(() => this.#running.delete(exec));
    const { spec: container, containerId, homeDir } = this.#options;
    const plan = await planLaunch(spec.command, {
      containerId,
      homeDir,
      spec: {
        ...container,
        tty: spec.tty,
        env: [...container.env, ...spec.env],
        workingDir: spec.workingDir === "" ? container.workingDir : spec.workingDir,
      },
    });
    const refusal = () => new HttpError(409, `container ${containerId} is not running`);
    if (!this.#isOpen) throw refusal();
    const process = await spawnProcess(plan, options);
    if (!this.#isOpen) { // The container exited while a terminal was opened.
      process.signal(SIGKILL);
      await process.exited;
      throw refusal();
    }
    const remembering = this.#remember(exec, process).finally(() => this.#remembering.delete(remembering));
    this.#remembering.add(remembering);
    return process;
  }

  /** Keeps the file by which the next engine finds the process, should this engine be killed. */
  async #remember({ id }: EmbeddedExec, process: ContainerProcess): Promise<void> {
    const { dir, logger, containerId } = this.#options;
    const file = join(dir, `${PROCESS_FILE}-${shortId(id)}`);
    try {
      await rememberProcess(file, process.pid);
      await process.exited;
      await forgetProcess(file);
    } catch (error) {
      logger.warn(`embedded engine: cannot save the pid of an exec in ${containerId}: ${messageOf(error)}`);
    }
  }
}
