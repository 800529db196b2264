/**
 * The table of operations: everything that a client can ask on `apex.socket`. A client sends one request line on each
 * connection, and the daemon replies with one line:
 *
 *     {"v":1,"op":"status"}
 *     {"ok":true,"result":{…}}   or   {"ok":false,"error":{"code":"not_found","message":"…"}}
 *
 * The daemon's handlers, the client's calls, and the reference in EVENTS.md follow from this table.
 */
import * as v from "valibot";
import { containerOperations } from "./container_operations.ts";
import { daemonOperations } from "./daemon_operations.ts";
import { eventOperations } from "./event_operations.ts";
import type { OperationKind } from "./operation.ts";
import { sessionOperations } from "./session_operations.ts";
import { taskOperations } from "./task_operations.ts";

export const OPERATIONS = {
  ...daemonOperations,
  ...containerOperations,
  ...taskOperations,
  ...sessionOperations,
  ...eventOperations,
} as const;

/** The name of an operation. */
export type ControlOp = keyof typeof OPERATIONS;

type OpOfKind<Kind extends OperationKind> = {
  [Op in ControlOp]: (typeof OPERATIONS)[Op]["kind"] extends Kind ? Op : never;
}[ControlOp];

/** An operation whose reply line is all of its answer. */
export type ReplyOp = OpOfKind<"reply">;
/** An operation whose reply line is followed by frames. */
export type FrameOp = OpOfKind<"frames">;
/** An operation whose reply line is followed by lines. */
export type LineOp = OpOfKind<"lines">;

/** The request of one operation. */
export type ControlRequestOf<Op extends ControlOp> = v.InferOutput<(typeof OPERATIONS)[Op]["request"]>;

/** Any request, validated. */
export type ControlRequest = { [Op in ControlOp]: ControlRequestOf<Op> }[ControlOp];

/** The result of one operation. */
export type ControlResultOf<Op extends ControlOp> = v.InferOutput<(typeof OPERATIONS)[Op]["result"]>;

/** The kinds of failure in an error reply. A client reads a code that it does not know as `failed`. */
export const ERROR_CODES = [
  "usage",
  "protocol",
  "engine",
  "not_found",
  "busy",
  "conflict",
  "timeout",
  "failed",
] as const;

export type ControlErrorCode = (typeof ERROR_CODES)[number];

export interface ControlError {
  readonly code: ControlErrorCode;
  /** For people: what failed, why, and what to do next. */
  readonly message: string;
}

/** A reply line, as the daemon sends it. */
export type ControlReply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: ControlError };

/** A reply line, as a client accepts it: the code may be one of a newer daemon. */
export const replySchema = v.variant("ok", [
  v.object({ ok: v.literal(true), result: v.unknown() }),
  v.object({ ok: v.literal(false), error: v.object({ code: v.string(), message: v.string() }) }),
]);
