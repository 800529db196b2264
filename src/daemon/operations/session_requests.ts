/** The operations `sessions.*`. */
import { ApexError } from "../../platform/apex_error.ts";
import type { Clock } from "../../platform/clock.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ControlReply } from "../../protocol/control.ts";
import {
  parseRestoreMode,
  type RestoreMode,
  type SessionNamesResult,
  type SessionRequestOf,
  type sessionRequestSchemas,
  type SessionResult,
} from "../../protocol/session_messages.ts";
import type { AttachRequest } from "../../sessions/attach_request.ts";
import type { SessionRecord } from "../../sessions/session.ts";
import { SessionClient } from "../../sessions/session_client.ts";
import type { SessionPool } from "../../sessions/session_pool.ts";
import type { ControlAnswer, StreamReply } from "../control_socket/control_server.ts";
import { errorReply } from "../control_socket/error_reply.ts";

/** A request of any of the operations. */
export type SessionRequest = SessionRequestOf<keyof typeof sessionRequestSchemas>;

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

  /** Carries out any of the operations. @throws {ApexError} `usage`, `busy`, `engine` … */
  async answer(request: SessionRequest): Promise<ControlAnswer> {
    switch (request.op) {
      case "sessions.attach":
        return await this.attach(request);
      case "sessions.list":
        return await this.list();
      case "sessions.detach":
        return await this.detach(request);
      case "sessions.kill":
        return await this.kill(request);
    }
  }

  /**
   * The session goes on whatever becomes of the client.
   *
   * @throws {ApexError} `usage`, `busy`, `engine` …
   */
  async attach(request: SessionRequestOf<"sessions.attach">): Promise<StreamReply> {
    const { columns, rows, pid } = request;
    const client = new SessionClient({ pid, size: { columns, rows }, clock: this.#options.clock });
    const { name, created, containerId } = await this.#options.sessions.attach(
      attachRequest(request),
      client,
    );
    return { ok: true, result: { name, created, containerId }, stream: (channel) => client.serve(channel) };
  }

  /** @throws {ApexError} `engine` when it is not known what there is */
  async list(): Promise<ControlReply> {
    await this.ready();
    return { ok: true, result: { sessions: this.results() } };
  }

  /** Resolves when it is known which there are. @throws {ApexError} `engine` when that takes too long */
  ready(): Promise<void> {
    return this.#options.sessions.ready();
  }

  /** What {@linkcode SessionRequests.list} tells, as it is now. */
  results(): SessionResult[] {
    return this.#options.sessions.list().map(sessionResult);
  }

  /** @throws {ApexError} `engine` when it is not known what there is */
  async detach({ names }: SessionRequestOf<"sessions.detach">): Promise<ControlReply> {
    const { sessions } = this.#options;
    await sessions.ready();
    const attached = (): string[] =>
      sessions.list().filter(({ status }) => status === "attached").map(({ name }) => name);
    return await this.#forEach("sessions.detach", names ?? attached(), (name) => sessions.detach(name));
  }

  /** All at once: each takes its grace. @throws {ApexError} `engine` when it is not known what there is */
  async kill({ names }: SessionRequestOf<"sessions.kill">): Promise<ControlReply> {
    const { sessions } = this.#options;
    await sessions.ready();
    return await this.#forEach("sessions.kill", names, (name) => sessions.kill(name));
  }

  /** One name that fails keeps none of the others. */
  async #forEach(
    op: string,
    names: readonly string[],
    work: (name: string) => Promise<void> | void,
  ): Promise<ControlReply> {
    const result: SessionNamesResult = { done: [], failed: [] };
    await Promise.all([...new Set(names)].map(async (name) => {
      try {
        await work(name);
        result.done.push(name);
      } catch (error) {
        const reply = errorReply(error, { op, logger: this.#options.logger });
        if (!reply.ok) result.failed.push({ name, ...reply.error });
      }
    }));
    return { ok: true, result };
  }
}

/** @throws {ApexError} `usage` */
function attachRequest(
  { restore, mounts, ports, v: _v, op: _op, columns: _columns, rows: _rows, pid: _pid, ...request }:
    SessionRequestOf<
      "sessions.attach"
    >,
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

function sessionResult(
  { createdAt, lastAttachedAt, expiresAt, ...session }: SessionRecord,
): SessionResult {
  return {
    ...session,
    createdAt: createdAt.toISOString(),
    ...(lastAttachedAt && { lastAttachedAt: lastAttachedAt.toISOString() }),
    ...(expiresAt && { expiresAt: expiresAt.toISOString() }),
  };
}
