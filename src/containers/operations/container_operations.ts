/**
 * What apex does with containers, through the engine's API. An operation that succeeds emits nothing: the engine's own
 * event is published, as for a container that another client operates. One that fails emits its failure, then rejects
 * with the engine's reason. One that its caller aborts has not failed.
 */
import type { EngineClient } from "../../engine/engine_client.ts";
import { execCommand, type ExecResult } from "../../engine/exec_command.ts";
import { EngineError } from "../../engine/http/engine_error.ts";
import { isImageId, pullImage, type PullProgress } from "../../engine/image_pull.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { TypedEmitter } from "../../platform/typed_emitter.ts";
import type { ContainerOperation, ManagerEvents } from "../changes/container_events.ts";
import type { OwnActions } from "../changes/own_actions.ts";
import type {
  ContainerSpec,
  CreatedContainer,
  CreateOptions,
  ExecOptions,
  FailureOptions,
  KillOptions,
  PullImageOptions,
  RemoveOptions,
  RestartOptions,
  StartOptions,
  StopOptions,
} from "./container_spec.ts";
import {
  type ContainerTargets,
  engineNameOf,
  type OperationSubject,
  subjectOfSpec,
} from "./container_targets.ts";
import { createBody, environment } from "./create_body.ts";
import { type EngineTraits, KnownTraits } from "./engine_traits.ts";
import {
  describe,
  FAILURE_EVENT_NAMES,
  isBeingRemoved,
  isMissingImage,
  isMissingInit,
  withContext,
} from "./operation_failure.ts";

export interface ContainerOperationsOptions {
  readonly client: EngineClient;
  readonly targets: ContainerTargets;
  readonly emitter: TypedEmitter<ManagerEvents>;
  /** Notified before each kill and removal. */
  readonly ownActions: OwnActions;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Attempt extends FailureOptions {
  readonly operation: ContainerOperation;
  /** The container, as the caller named it, or as far as its spec describes it. */
  readonly on: OperationSubject | string;
  readonly abort?: AbortSignal | undefined;
}

interface SendOptions {
  readonly query?: Readonly<Record<string, unknown>>;
  /** 0: no limit. */
  readonly timeoutMs?: number;
  readonly abort?: AbortSignal | undefined;
}

/** An engine that starts hundreds of containers at once takes long for each. */
const OPERATION_TIMEOUT_MS = 120_000;

export class ContainerOperations {
  readonly #options: ContainerOperationsOptions;
  readonly #traits: KnownTraits;

  constructor(options: ContainerOperationsOptions) {
    this.#options = options;
    this.#traits = new KnownTraits(options.client);
  }

  async create(spec: ContainerSpec, options: CreateOptions = {}): Promise<CreatedContainer> {
    const { pull = "missing", abort, onPullProgress } = options;
    const subject = subjectOfSpec(spec);
    return await this.#attempt({ operation: "create", on: subject, abort }, async () => {
      const create = async (): Promise<CreateReply> => {
        const body = createBody(spec, await this.#traitsFor(spec));
        abort?.throwIfAborted();
        return await this.#postCreate(spec.name, body);
      };
      const createWithInit = (): Promise<CreateReply> =>
        create().catch(async (error: unknown) => {
          if (spec.init !== "if-available" || !isMissingInit(error)) throw error;
          await this.#traits.lacksInit();
          return await create();
        });
      const pullIt = () => this.pullImage(spec.image, { abort, onProgress: onPullProgress });
      if (pull === "always") await pullIt();
      const { Id: id, Warnings: warnings } = await createWithInit().catch(async (error: unknown) => {
        if (pull !== "missing" || !isMissingImage(error) || isImageId(spec.image)) throw error;
        await pullIt();
        return await createWithInit();
      });
      const name = spec.name ?? await this.#nameOf(id);
      this.#options.targets.created(id, { ...subject, containerId: id, containerName: name });
      return { id, name, warnings: warnings ?? [] };
    });
  }

  async start(target: string, { abort }: StartOptions = {}): Promise<void> {
    await this.#post("start", target, { abort });
  }

  async stop(target: string, { timeoutSeconds, abort }: StopOptions = {}): Promise<void> {
    await this.#post("stop", target, { ...withGrace(timeoutSeconds), abort });
  }

  async restart(target: string, { timeoutSeconds }: RestartOptions = {}): Promise<void> {
    await this.#post("restart", target, withGrace(timeoutSeconds));
  }

  async kill(target: string, { signal, isPublished }: KillOptions = {}): Promise<void> {
    await this.#attempt({ operation: "kill", on: target, isPublished }, async (id) => {
      const { ownActions, targets } = this.#options;
      // For an unknown container, no change would end the note.
      const withdraw = targets.exists(id) ? ownActions.expectKill(id, signal ?? "SIGKILL") : () => {};
      try {
        await this.#send("POST", `/containers/${encodeURIComponent(id)}/kill`, { query: { signal } });
      } catch (error) {
        withdraw();
        throw error;
      }
    });
  }

  async rename(target: string, name: string): Promise<void> {
    await this.#post("rename", target, { query: { name } });
  }

  async pause(target: string): Promise<void> {
    await this.#post("pause", target);
  }

  async unpause(target: string): Promise<void> {
    await this.#post("unpause", target);
  }

  async remove(target: string, options: RemoveOptions = {}): Promise<void> {
    const { force = false, volumes = false, isPublished } = options;
    await this.#attempt({ operation: "remove", on: target, isPublished }, async (id) => {
      const { ownActions, targets } = this.#options;
      const withdraw = ownActions.expectRemoval(id, force);
      const existed = targets.exists(id);
      try {
        await this.#send("DELETE", `/containers/${encodeURIComponent(id)}`, { query: { force, v: volumes } });
      } catch (error) {
        // Another client's removal is under way, of a daemon that was killed, say. The engine will report it.
        if (isBeingRemoved(error)) return;
        withdraw();
        // Another client was faster. The engine has reported the removal, or will.
        if (existed && error instanceof EngineError && error.code === "not_found") return;
        throw error;
      }
    });
  }

  async exec(target: string, cmd: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { client, clock } = this.#options;
    const { env = {}, ...rest } = options;
    return await this.#attempt({ operation: "exec", on: target, abort: options.abort }, async (id) => {
      if (cmd.length === 0) throw new ApexError("usage", "no command was given");
      return await execCommand(client, { ...rest, id, cmd, env: environment(env), clock });
    });
  }

  async pullImage(image: string, { abort, onProgress }: PullImageOptions = {}): Promise<void> {
    const { client, clock, logger } = this.#options;
    const guarded = (progress: PullProgress): void => {
      try {
        onProgress?.(progress);
      } catch (error) {
        logger.error(`a listener of the pull of ${image} failed: ${messageOf(error)}`);
      }
    };
    await pullImage(client, image, { clock, abort, onProgress: guarded });
  }

  #post(operation: ContainerOperation, target: string, options: SendOptions = {}): Promise<void> {
    return this.#attempt(
      { operation, on: target, abort: options.abort },
      (id) => this.#send("POST", `/containers/${encodeURIComponent(id)}/${operation}`, options),
    );
  }

  /** Emits a failure before its caller gets it. */
  async #attempt<T>(attempt: Attempt, act: (id: string) => Promise<T>): Promise<T> {
    const { operation, on, abort, isPublished } = attempt;
    let subject = typeof on === "string" ? { containerName: on } : on;
    try {
      if (typeof on === "string") subject = this.#options.targets.subjectOf(on);
      return await act(engineNameOf(subject));
    } catch (error) {
      if (abort?.aborted && error === abort.reason) throw error;
      const verb = operation === "exec" ? "run a command in" : operation;
      const explained = withContext(`${verb} ${describe(subject)}`, error);
      if (isPublished?.(explained) === false) throw explained;
      this.#options.emitter.emit(FAILURE_EVENT_NAMES[operation], {
        success: false,
        operation,
        ...subject,
        timestamp: new Date(this.#options.clock.now()),
        error: messageOf(explained),
      });
      throw explained;
    }
  }

  /** Sends a request whose reply contains nothing of interest. */
  async #send(method: string, path: string, options: SendOptions): Promise<void> {
    const { query = {}, timeoutMs = OPERATION_TIMEOUT_MS, abort } = options;
    const { client, clock } = this.#options;
    using deadline = new Deadline(timeoutMs, { clock, abort });
    const response = await client.request(method, path, {
      query,
      abort: deadline.abortSignal,
      timeoutMs: 0,
    });
    await response.body?.cancel();
  }

  /** Refuses what is invalid on every engine without asking this one. */
  async #traitsFor(spec: ContainerSpec): Promise<EngineTraits | undefined> {
    createBody(spec);
    const dependsOnEngine = spec.projectDir !== undefined || spec.init === "if-available" || spec.exactOutput;
    return dependsOnEngine ? await this.#traits.get() : undefined;
  }

  #postCreate(name: string | undefined, body: Record<string, unknown>): Promise<CreateReply> {
    return this.#options.client.requestJson("POST", "/containers/create", {
      query: { name },
      body,
      timeoutMs: OPERATION_TIMEOUT_MS,
      isRight: (reply) => typeof reply === "object" && reply !== null && "Id" in reply,
    });
  }

  /** The name that the engine chose. */
  async #nameOf(id: string): Promise<string> {
    try {
      return (await this.#options.client.inspectContainer(id)).Name.replace(/^\//, "");
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      return id; // the container exists, and its id works as a name
    }
  }
}

/** `POST /containers/create` */
interface CreateReply {
  readonly Id: string;
  readonly Warnings: readonly string[] | null;
}

/** The engine replies when the container has ended. Without a number, only the engine knows how long that may take. */
function withGrace(timeoutSeconds: number | undefined): SendOptions {
  if (timeoutSeconds === undefined) return { timeoutMs: 0 };
  const seconds = Math.ceil(timeoutSeconds);
  return { query: { t: seconds }, timeoutMs: seconds < 0 ? 0 : seconds * 1_000 + OPERATION_TIMEOUT_MS };
}
