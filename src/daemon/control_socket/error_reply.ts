import { ApexError, type ErrorCode, messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import type { ControlErrorCode, ControlReply } from "../../protocol/control.ts";

/** What each kind of failure is called in a reply; the others are `failed`. */
const REPLY_CODES: Partial<Record<ErrorCode, ControlErrorCode>> = {
  usage: "usage",
  protocol: "protocol",
  engine: "engine",
  "not_found": "not_found",
  busy: "busy",
  conflict: "conflict",
  timeout: "timeout",
};

/** The reply that tells of what an operation threw. What nobody foresaw is logged: it is a mistake of apex's own. */
export function errorReply(error: unknown, { op, logger }: { op: string; logger: Logger }): ControlReply {
  const message = messageOf(error);
  if (error instanceof ApexError) {
    return { ok: false, error: { code: REPLY_CODES[error.code] ?? "failed", message } };
  }
  logger.error(`${op} failed: ${error instanceof Error ? error.stack ?? message : message}`);
  return { ok: false, error: { code: "failed", message } };
}
