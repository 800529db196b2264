/**
 * An exec, a further command in a container: it is created, started once, and ends. Each change of state and its event are
 * in one synchronous block. As in Docker, a command that cannot be started has an `exec_start` but no `exec_die`.
 */
import { messageOf } from "../../platform/apex_error.ts";
import { HttpError } from "../http/http_message.ts";
import type { ContainerProcess, ProcessOptions } from "../processes/container_process.ts";
import { LaunchError } from "../processes/launch_plan.ts";
import type { SpawnOptions } from "../processes/spawn_process.ts";
import { cannotResize } from "../processes/terminal_plan.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import type { ExecSpec } from "../spec/exec_request.ts";

/** Clients need an exec for a short time after its end; Docker deletes it after some minutes. */
const MAX_EXECS = 4_096;

export interface EmbeddedExecOptions {
  readonly id: string;
  readonly containerId: string;
  readonly spec: ExecSpec;
  readonly publish: (action: string, attributes: Readonly<Record<string, string>>) => void;
  /** Starts the command in the container. */
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
  #size: ConsoleSize;

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

  /** Undefined before its end. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** 0 before its start; stays after its end. */
  get pid(): number {
    return this.#pid;
  }

  /** Resolves when it has ended and its output is read, or when it failed to start. Never rejects. */
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
      if (this.#size !== asked) void process.resize(this.#size); // The request has been answered already.
      return process;
    } catch (error) {
      this.#end(error instanceof LaunchError ? error.exitCode : 126, { published: false });
      throw asRefusal(error);
    }
  }

  /**
   * Sets the size of its terminal, now or when it starts.
   * @throws {HttpError} 404 when it has ended, 500 when the size could not be set
   */
  async resize(size: ConsoleSize): Promise<void> {
    if (this.#status === "ended") throw new HttpError(404, "no such exec");
    this.#size = size;
    if (await this.#process?.resize(size) === false) throw cannotResize();
  }

  /** Does nothing unless it runs. */
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

/** As Docker joins a command for its events: with a space after a program without arguments. */
export function shownCommand([program = "", ...args]: readonly string[]): string {
  return `${program} ${args.join(" ")}`;
}

function asRefusal(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof LaunchError) {
    const prefix = "OCI runtime exec failed: exec failed: unable to start container process";
    return new HttpError(400, `${prefix}: ${error.detail}: unknown`, { cause: error });
  }
  return new HttpError(500, messageOf(error), { cause: error });
}

/** All execs of the engine, by id. When it is full, the oldest exec that does not run is deleted for a new one. */
export class ExecStore {
  readonly #byId = new Map<string, EmbeddedExec>();

  /** @throws {HttpError} 503 when too many run */
  add(exec: EmbeddedExec): void {
    if (this.#byId.size >= MAX_EXECS) {
      const oldest = [...this.#byId.values()].find(({ status }) => status !== "running");
      if (oldest === undefined) {
        throw new HttpError(503, `cannot create another exec: ${MAX_EXECS} are running`);
      }
      this.#byId.delete(oldest.id);
    }
    this.#byId.set(exec.id, exec);
  }

  /** @throws {HttpError} 404 */
  get(id: string): EmbeddedExec {
    const exec = this.#byId.get(id);
    if (exec === undefined) throw new HttpError(404, `No such exec instance: ${id}`);
    return exec;
  }

  deleteOf(containerId: string): void {
    for (const exec of this.#byId.values()) {
      if (exec.containerId === containerId) this.#byId.delete(exec.id);
    }
  }
}
