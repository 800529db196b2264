import { ApexError, type ErrorCode, messageOf } from "../../platform/apex_error.ts";
import { Deadline } from "../../platform/async/deadline.ts";
import type { Clock } from "../../platform/clock.ts";
import { readBoundedText } from "./reply_body.ts";

export interface EngineErrorOptions extends ErrorOptions {
  readonly status?: number;
  readonly engineMessage?: string;
  /** Overrides the code that follows from the status. */
  readonly code?: ErrorCode;
}

/**
 * The engine refused a request, or could not be reached. `code` is `not_found` for a 404, `conflict` for a 409, and
 * `engine` otherwise, unless `options.code` is set. The message ends with the engine's own message.
 */
export class EngineError extends ApexError {
  override readonly name: string = "EngineError";
  /** The HTTP status; absent when no reply arrived. */
  readonly status?: number;
  /** The engine's own message alone, `No such container: web`. */
  readonly engineMessage?: string;

  constructor(message: string, options: EngineErrorOptions = {}) {
    super(options.code ?? codeOfStatus(options.status), message, options);
    if (options.status !== undefined) this.status = options.status;
    if (options.engineMessage !== undefined) this.engineMessage = options.engineMessage;
  }
}

function codeOfStatus(status: number | undefined): "engine" | "not_found" | "conflict" {
  switch (status) {
    case 404:
      return "not_found";
    case 409:
      return "conflict";
    default:
      return "engine";
  }
}

const MAX_REFUSAL_BYTES = 64 * 1024;
const READ_TIMEOUT_MS = 5_000;
const MAX_MESSAGE_LENGTH = 300;
/** Podman reports these conflicts with status 500, Docker with 409. */
const PODMAN_CONFLICT = /that name is already in use|container state improper/;

export interface RefusalContext {
  /** The refused request; `target` is its path and query, with the version. */
  readonly request: { readonly method: string; readonly target: string };
  readonly clock: Clock;
}

/** Reads a reply with an error status, and returns it as an error that names the request and the engine's reason. */
export async function readRefusal(
  response: Response,
  { request, clock }: RefusalContext,
): Promise<EngineError> {
  const said = await messageIn(response, clock);
  const path = request.target.replace(/\?.*$/, "").replace(/^\/v[\d.]+/, "");
  const message = `the engine refused ${request.method} ${path}: ${said} (status ${response.status})`;
  return new EngineError(message, {
    status: response.status,
    engineMessage: said,
    ...(response.status === 500 && PODMAN_CONFLICT.test(said) && { code: "conflict" }),
  });
}

/** The engine's own message: `{"message": …}`, or the plain text that it sent. */
async function messageIn(response: Response, clock: Clock): Promise<string> {
  let text: string;
  try {
    using deadline = new Deadline(READ_TIMEOUT_MS, { clock });
    text = await readBoundedText(response, { maxBytes: MAX_REFUSAL_BYTES, abort: deadline.abortSignal });
  } catch (error) {
    // The status is the important part: a message that cannot be read must not hide it.
    return `its message cannot be read (${messageOf(error)})`;
  }
  return messageOfReply(text);
}

function messageOfReply(text: string): string {
  try {
    const reply: unknown = JSON.parse(text);
    if (typeof reply === "object" && reply !== null && "message" in reply) return String(reply.message);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // Not JSON: the page of a proxy, or plain text.
  }
  return text.trim().slice(0, MAX_MESSAGE_LENGTH) || "no explanation";
}
