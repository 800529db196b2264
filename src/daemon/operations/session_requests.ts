/** The operations `sessions.*`. */
import { ApexError } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ControlRequestOf } from "../../protocol/operations.ts";
import {
  parseRestoreMode,
  type RestoreMode,
  type SessionNamesResult,
  type SessionResult,
} from "../../protocol/session_operations.ts";
import type { AttachRequest } from "../../sessions/attach_request.ts";
import { SessionClient } from "../../sessions/session_client.ts";
import type { SessionPool } from "../../sessions/session_pool.ts";
import { type AnswerOf, controlError } from "../control_socket/answer.ts";
import { wireForm } from "./wire_results.ts";

export interface SessionRequestsOptions {
  readonly sessions: SessionPool;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class SessionRequests {
  readonly #options: SessionRequestsOptions;

  constructor(options: SessionRequestsOptions) {
    this.#options = options;
  }

  /**
   * Attaches a client. The session continues when the client has hung up.
   *
   * @throws {ApexError} `usage`, `busy`, `engine` …
   */
  async attach(request: ControlRequestOf<"sessions.attach">): Promise<AnswerOf<"sessions.attach">> {
    const { sessions, clock } = this.#options;
    const { columns, rows, pid } = request;
    const client = new SessionClient({ pid, size: { columns, rows }, clock });
    const { name, created, containerId } = await sessions.attach(attachRequest(request), client);
    return { result: { name, created, containerId }, stream: (channel) => client.serve(channel) };
  }

  /** @throws {ApexError} `engine` if it is not known which sessions exist */
  async list(): Promise<AnswerOf<"sessions.list">> {
    await this.ready();
    return { result: { sessions: this.results() } };
  }

  /** Resolves when it is known which sessions exist. @throws {ApexError} `engine` if that takes too long */
  ready(): Promise<void> {
    return this.#options.sessions.ready();
  }

  /** The sessions that are known now. */
  results(): SessionResult[] {
    return this.#options.sessions.list().map((session) => wireForm(session));
  }

  /** @throws {ApexError} `engine` if it is not known which sessions exist */
  async detach({ names }: ControlRequestOf<"sessions.detach">): Promise<AnswerOf<"sessions.detach">> {
    const { sessions } = this.#options;
    await sessions.ready();
    const attached = (): string[] =>
      sessions.list().filter(({ status }) => status === "attached").map(({ name }) => name);
    return await this.#forEach("sessions.detach", names ?? attached(), (name) => sessions.detach(name));
  }

  /** Kills all at the same time: each has a grace period. @throws {ApexError} `engine` if it is not known which sessions exist */
  async kill({ names }: ControlRequestOf<"sessions.kill">): Promise<AnswerOf<"sessions.kill">> {
    const { sessions } = this.#options;
    await sessions.ready();
    return await this.#forEach("sessions.kill", names, (name) => sessions.kill(name));
  }

  /** A failure for one name does not stop the others. */
  async #forEach(
    op: string,
    names: readonly string[],
    work: (name: string) => Promise<void> | void,
  ): Promise<{ readonly result: SessionNamesResult }> {
    const result: SessionNamesResult = { done: [], failed: [] };
    await Promise.all([...new Set(names)].map(async (name) => {
      try {
        await work(name);
        result.done.push(name);
      } catch (error) {
        result.failed.push({ name, ...controlError(error, { op, logger: this.#options.logger }) });
      }
    }));
    return { result };
  }
}

/** @throws {ApexError} `usage` */
function attachRequest(
  { restore, mounts, ports, v: _v, op: _op, columns: _columns, rows: _rows, pid: _pid, ...request }:
    ControlRequestOf<"sessions.attach">,
): AttachRequest {
  return {
    ...definedFields(request),
    ...(mounts && { mounts: mounts.map(definedFields) }),
    ...(ports && { ports: ports.map(definedFields) }),
    ...(restore !== undefined && { restore: restoreMode(restore) }),
  };
}

function restoreMode(text: string): RestoreMode {
  try {
    return parseRestoreMode(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ApexError("usage", error.message, { cause: error });
  }
}
