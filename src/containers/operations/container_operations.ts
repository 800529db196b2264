/**
 * What apex does with containers, by the engine's API. An operation that succeeds tells nothing: the engine's own event
 * does, in the same way as if somebody else had asked for it. One that fails tells of that, and then rejects with the
 * engine's reason; one that its caller's signal ends has not failed.
 */
import type { EngineClient } from "../../engine/engine_client.ts";
import { execCommand, type ExecResult } from "../../engine/exec_command.ts";
import { EngineError } from "../../engine/http/engine_error.ts";
import { pullImage, type PullProgress } from "../../engine/image_pull.ts";
import { isImageId } from "../../engine/image_reference.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { TypedEmitter } from "../../platform/typed_emitter.ts";
import type { ContainerOperation, ManagerEvents } from "../changes/container_events.ts";
import type { ContainerSpec } from "./container_spec.ts";
import { type ContainerTargets, engineNameOf } from "./container_targets.ts";
import { createBody, environment } from "./create_body.ts";
import { isBeingRemoved, isMissingImage, isMissingInit } from "./engine_refusals.ts";
import { type EngineTraits, KnownTraits } from "./engine_traits.ts";
import {
  describe,
  failureEventName,
  type OperationSubject,
  subjectOfSpec,
  withContext,
} from "./operation_failure.ts";
import type {
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
} from "./operation_options.ts";

export interface ContainerOperationsOptions {
  readonly client: EngineClient;
  readonly targets: ContainerTargets;
  readonly emitter: TypedEmitter<ManagerEvents>;
  /** Notes that apex itself removes that container; what it returns takes that back. */
  readonly expectRemoval: (id: string, forced: boolean) => () => void;
  /** Notes that apex itself sends that container a signal, in any spelling; what it returns takes that back. */
  readonly expectKill: (id: string, signal: string) => () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What is done, to which container. */
interface Attempt {
  readonly operation: ContainerOperation;
  /** What is known of the container, or what somebody named it. */
  readonly on: OperationSubject | string;
  readonly signal?: AbortSignal | undefined;
  readonly isTold?: FailureOptions["isTold"];
}

interface SendOptions {
  readonly query?: Readonly<Record<string, unknown>>;
  /** 0: no limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** An engine that starts hundreds of containers at once takes its time for each. */
const OPERATION_TIMEOUT_MS = 120_000;

export class ContainerOperations {
  readonly #options: ContainerOperationsOptions;
  readonly #traits: KnownTraits;

  constructor(options: ContainerOperationsOptions) {
    this.#options = options;
    this.#traits = new KnownTraits(options.client);
  }

  async create(spec: ContainerSpec, options: CreateOptions = {}): Promise<CreatedContainer> {
    const { pull = "missing", signal, onPullProgress } = options;
    const subject = subjectOfSpec(spec);
    return await this.#attempt({ operation: "create", on: subject, signal }, async () => {
      const create = async (): Promise<CreateReply> => {
        const body = createBody(spec, await this.#traitsFor(spec));
        signal?.throwIfAborted();
        return await this.#postCreate(spec.name, body);
      };
      const createOnThisEngine = (): Promise<CreateReply> =>
        create().catch(async (error: unknown) => {
          if (spec.init !== "if-available" || !isMissingInit(error)) throw error;
          await this.#traits.lacksInit();
          return await create();
        });
      const pullIt = () => this.pullImage(spec.image, { signal, onProgress: onPullProgress });
      if (pull === "always") await pullIt();
      const { Id: id, Warnings: warnings } = await createOnThisEngine().catch(async (error: unknown) => {
        if (pull !== "missing" || !isMissingImage(error) || isImageId(spec.image)) throw error;
        await pullIt();
        return await createOnThisEngine();
      });
      const name = spec.name ?? await this.#nameOf(id);
      this.#options.targets.created(id, { ...subject, containerId: id, containerName: name });
      return { id, name, warnings: warnings ?? [] };
    });
  }

  async start(target: string, { signal }: StartOptions = {}): Promise<void> {
    await this.#post("start", target, { signal });
  }

  async stop(target: string, { timeoutSeconds, signal }: StopOptions = {}): Promise<void> {
    await this.#post("stop", target, { ...withGrace(timeoutSeconds), signal });
  }

  async restart(target: string, { timeoutSeconds }: RestartOptions = {}): Promise<void> {
    await this.#post("restart", target, withGrace(timeoutSeconds));
  }

  async kill(target: string, { signal, isTold }: KillOptions = {}): Promise<void> {
    await this.#attempt({ operation: "kill", on: target, isTold }, async (id) => {
      const takeBack = this.#options.expectKill(id, signal ?? "SIGKILL");
      try {
        await this.#send("POST", `/containers/${encodeURIComponent(id)}/kill`, { query: { signal } });
      } catch (error) {
        takeBack();
        throw error;
      }
    });
  }

  async rename(target: string, name: string): Promise<void> {
    await this.#post("rename", target, { query: { name } });
  }

  async pause(target: string): Promise<void> {
    await this.#post("pause", target, {});
  }

  async unpause(target: string): Promise<void> {
    await this.#post("unpause", target, {});
  }

  async remove(target: string, options: RemoveOptions = {}): Promise<void> {
    const { force = false, volumes = false, isTold } = options;
    await this.#attempt({ operation: "remove", on: target, isTold }, async (id) => {
      const takeBack = this.#options.expectRemoval(id, force);
      const wasThere = this.#options.targets.isThere(id);
      try {
        await this.#send("DELETE", `/containers/${encodeURIComponent(id)}`, { query: { force, v: volumes } });
      } catch (error) {
        // Somebody else's, of a daemon that was killed, say: what was asked for is being done, and will be told.
        if (isBeingRemoved(error)) return;
        takeBack();
        // Somebody was quicker: what was asked for has been done, and is told, or will be.
        if (wasThere && error instanceof EngineError && error.code === "not_found") return;
        throw error;
      }
    });
  }

  async exec(target: string, cmd: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { client, clock } = this.#options;
    const { env = {}, signal, ...rest } = options;
    return await this.#attempt({ operation: "exec", on: target, signal }, async (id) => {
      if (cmd.length === 0) throw new ApexError("usage", "no command was named");
      return await execCommand(client, {
        ...rest,
        ...(signal !== undefined && { signal }),
        id,
        cmd,
        env: environment(env),
        clock,
      });
    });
  }

  async pullImage(image: string, { signal, onProgress }: PullImageOptions = {}): Promise<void> {
    const { client, clock, logger } = this.#options;
    const guarded = (progress: PullProgress): void => {
      try {
        onProgress?.(progress);
      } catch (error) {
        logger.error(`a listener of the pull of ${image} failed: ${messageOf(error)}`);
      }
    };
    await pullImage(client, image, { clock, signal, onProgress: guarded });
  }

  #post(operation: ContainerOperation, target: string, options: SendOptions): Promise<void> {
    return this.#attempt(
      { operation, on: target, signal: options.signal },
      (id) => this.#send("POST", `/containers/${encodeURIComponent(id)}/${operation}`, options),
    );
  }

  /** The failure is told before its caller learns of it. */
  async #attempt<T>({ operation, on, signal, isTold }: Attempt, act: (id: string) => Promise<T>): Promise<T> {
    let subject = typeof on === "string" ? { containerName: on } : on;
    try {
      if (typeof on === "string") subject = this.#options.targets.subjectOf(on);
      return await act(engineNameOf(subject));
    } catch (error) {
      if (signal?.aborted && error === signal.reason) throw error;
      const verb = operation === "exec" ? "run a command in" : operation;
      const explained = withContext(`${verb} ${describe(subject)}`, error);
      if (isTold?.(explained) === false) throw explained;
      this.#options.emitter.emit(failureEventName(operation), {
        success: false,
        operation,
        ...subject,
        timestamp: new Date(this.#options.clock.now()),
        error: messageOf(explained),
      });
      throw explained;
    }
  }

  /** Sends a request whose reply says no more than that it was done, or was so already. */
  async #send(method: string, path: string, options: SendOptions): Promise<void> {
    const { query = {}, timeoutMs = OPERATION_TIMEOUT_MS, signal } = options;
    const { client, clock } = this.#options;
    // A signal of this request's own: the caller's may live long and would keep what is hung on it.
    using deadline = new Deadline(timeoutMs, { clock, abort: signal });
    const response = await client.request(method, path, {
      query,
      signal: deadline.abortSignal,
      timeoutMs: 0,
    });
    await response.body?.cancel();
  }

  /** What is invalid on every engine is refused without asking this one. */
  async #traitsFor(spec: ContainerSpec): Promise<EngineTraits | undefined> {
    createBody(spec);
    const isAsked = spec.projectDir !== undefined || spec.init === "if-available" || spec.exactOutput;
    return isAsked ? await this.#traits.get() : undefined;
  }

  #postCreate(name: string | undefined, body: Record<string, unknown>): Promise<CreateReply> {
    return this.#options.client.requestJson("POST", "/containers/create", {
      query: { name },
      body,
      timeoutMs: OPERATION_TIMEOUT_MS,
      isRight: (reply) => typeof reply === "object" && reply !== null && "Id" in reply,
    });
  }

  /** The name that the engine made up. */
  async #nameOf(id: string): Promise<string> {
    try {
      return (await this.#options.client.inspectContainer(id)).Name.replace(/^\//, "");
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      // The container is there all the same, and answers to its id as well.
      return id;
    }
  }
}

/** `POST /containers/create` */
interface CreateReply {
  readonly Id: string;
  readonly Warnings: readonly string[] | null;
}

/** The engine answers when it has ended; without a number only the engine knows how long that may take. */
function withGrace(timeoutSeconds: number | undefined): SendOptions {
  if (timeoutSeconds === undefined) return { timeoutMs: 0 };
  const seconds = Math.ceil(timeoutSeconds);
  return { query: { t: seconds }, timeoutMs: seconds < 0 ? 0 : seconds * 1_000 + OPERATION_TIMEOUT_MS };
}
