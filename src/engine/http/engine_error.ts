import { ApexError, type ErrorCode } from "../../platform/apex_error.ts";

export interface EngineErrorOptions extends ErrorOptions {
  readonly status?: number;
  readonly engineMessage?: string;
  /** Where it is not what the status says. */
  readonly code?: ErrorCode;
}

/**
 * The engine refused a request, or could not be reached. `code` is `not_found` for a 404, `conflict` for a 409, and
 * `engine` for the rest, unless the engine's words say otherwise; the message ends with the engine's own words.
 */
export class EngineError extends ApexError {
  override readonly name: string = "EngineError";
  /** The HTTP status; absent when no reply came. */
  readonly status?: number;
  /** The engine's own words alone, `No such container: web`. */
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
