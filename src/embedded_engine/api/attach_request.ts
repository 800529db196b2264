import { parseDetachKeys } from "../terminals/detach_keys.ts";
import { booleanParameter } from "./parameters.ts";

/** What a client that attaches wants. */
export interface AttachRequest {
  /** Output that was there before. */
  readonly logs: boolean;
  /** Output, and input, from now on. */
  readonly stream: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Bytes; they count at a terminal only. */
  readonly detachKeys: readonly number[];
}

/** @throws {HttpError} 400 for keys that are none */
export function parseAttachRequest(query: URLSearchParams): AttachRequest {
  return {
    logs: booleanParameter(query, "logs"),
    stream: booleanParameter(query, "stream"),
    stdin: booleanParameter(query, "stdin"),
    stdout: booleanParameter(query, "stdout"),
    stderr: booleanParameter(query, "stderr"),
    detachKeys: parseDetachKeys(query.get("detachKeys") ?? ""),
  };
}
