/**
 * A command that somebody runs beside a container's own: created, started once, ended. State and event change in one
 * synchronous block. As in Docker a command that cannot be started says `exec_start` and never `exec_die`.
 */
import type { ExecSpec } from "../api/exec_request.ts";
import { HttpError } from "../http/http_error.ts";
import type { ContainerProcess, ProcessOptions, SpawnOptions } from "../processes/container_process.ts";
import { LaunchError } from "../processes/launch_plan.ts";
import { CANNOT_RESIZE, type TerminalSize } from "../terminals/terminal_size.ts";

export interface EmbeddedExecOptions {
  readonly id: string;
  readonly containerId: string;
  readonly spec: ExecSpec;
  readonly publish: (action: string, attributes: Readonly<Record<string, string>>) => void;
  /** Starts it where the container runs. */
  readonly launch: (spec: ExecSpec, options: SpawnOptions) => Promise<ContainerProcess>;
}

export class EmbeddedExec {
  readonly id: string;
  readonly containerId: string;
  readonly spec: ExecSpec;
  readonly #options: EmbeddedExecOptions;
  readonly #ended = Promise.withResolvers<void>();
  #status: "created" | "running" | "ended" = "created";
  #exitCode: number | undefined;
  #process: ContainerProcess | undefined;
  #pid = 0;
  #size: TerminalSize;

  /** Publishes `exec_create`. */
  constructor(options: EmbeddedExecOptions) {
    this.#options = options;
    this.id = options.id;
    this.containerId = options.containerId;
    this.spec = options.spec;
    this.#size = this.spec.size;
    this.#publish(`exec_create: ${shownCommand(this.spec.command)}`);
  }

  get status(): "created" | "running" | "ended" {
    return this.#status;
  }

  /** Of one that has ended. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Stays when it has ended; 0 before its start. */
  get pid(): number {
    return this.#pid;
  }

  /** Resolves when it has ended, or failed to start; then its output is read. Never rejects. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Starts it; resolves once it runs.
   * @throws {HttpError} 409 when it was started before, 400 or 500 when it cannot be run
   */
  async start(options: ProcessOptions): Promise<ContainerProcess> {
    if (this.#status !== "created") {
      const before = this.#status === "running" ? "is already running" : "has already run";
      throw new HttpError(409, `Error: Exec command ${this.id} ${before}`);
    }
    this.#status = "running";
    this.#publish(`exec_start: ${shownCommand(this.spec.command)}`);
    try {
      const asked = this.#size;
      const process = await this.#options.launch(this.spec, {
        ...options,
        terminal: this.spec.tty ? asked : undefined,
      });
      this.#process = process;
      this.#pid = process.pid;
      void process.exited.then(({ exitCode }) => this.#end(exitCode, { published: true }));
      if (this.#size !== asked) void process.resize(this.#size); // Whoever asked for it has been answered.
      return process;
    } catch (error) {
      this.#end(error instanceof LaunchError ? error.exitCode : 126, { published: false });
      throw asRefusal(error);
    }
  }

  /**
   * Tells the program at its terminal, now or when it starts.
   * @throws {HttpError} 404 when it has ended, 500 when the size could not be set
   */
  async resize(size: TerminalSize): Promise<void> {
    if (this.#status === "ended") throw new HttpError(404, "no such exec");
    this.#size = size;
    if (await this.#process?.resize(size) === false) throw new HttpError(500, CANNOT_RESIZE);
  }

  /** Does nothing to one that does not run. */
  signal(number: number): void {
    this.#process?.signal(number);
  }

  #end(exitCode: number, { published }: { published: boolean }): void {
    this.#status = "ended";
    this.#exitCode = exitCode;
    if (published) this.#publish("exec_die", { exitCode: String(exitCode) });
    this.#ended.resolve();
  }

  #publish(action: string, attributes: Readonly<Record<string, string>> = {}): void {
    this.#options.publish(action, { execID: this.id, ...attributes });
  }
}

/** As Docker joins it for an event: with a space behind a program without arguments. */
export function shownCommand([program = "", ...args]: readonly string[]): string {
  return `${program} ${args.join(" ")}`;
}

function asRefusal(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof LaunchError) {
    const prefix = "OCI runtime exec failed: exec failed: unable to start container process";
    return new HttpError(400, `${prefix}: ${error.detail}: unknown`, { cause: error });
  }
  return new HttpError(500, error instanceof Error ? error.message : String(error), { cause: error });
}
