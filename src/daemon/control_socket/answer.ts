/** What a handler of an operation receives and returns. `ControlServer` turns an answer into a reply line and a stream. */
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { Logger } from "../../platform/logger.ts";
import {
  type ControlError,
  type ControlErrorCode,
  type ControlOp,
  type ControlRequestOf,
  type ControlResultOf,
  ERROR_CODES,
  type ReplyOp,
} from "../../protocol/operations.ts";
import type { ControlChannel } from "./control_channel.ts";

/** The answer of an operation of kind `reply`. */
export interface Reply<Result = unknown> {
  readonly result: Result;
  /** Called once, after the reply line was sent or the client hung up. */
  readonly afterReply?: () => void;
}

/** The answer of an operation with frames or lines. */
export interface StreamReply<Result = unknown> {
  readonly result: Result;
  /**
   * Sends what follows the reply line; the connection ends when it settles. Called once, even if the client has hung up: then
   * the channel's signal is aborted already, and the operation can release its resources. If it throws while the client is
   * connected, the error becomes a last `exit` frame; lines end without a last line.
   */
  readonly stream: (channel: ControlChannel) => Promise<void>;
}

export type ControlAnswer = Reply | StreamReply;

/** The answer of one operation. */
export type AnswerOf<Op extends ControlOp> = Op extends ReplyOp ? Reply<ControlResultOf<Op>>
  : StreamReply<ControlResultOf<Op>>;

/** One handler for each operation. What it throws becomes an error reply. `abort` is aborted when the daemon ends. */
export type ControlHandlers = {
  readonly [Op in ControlOp]: (
    request: ControlRequestOf<Op>,
    abort: AbortSignal,
  ) => Promise<AnswerOf<Op>> | AnswerOf<Op>;
};

/** The error for a reply. An error that is not an {@linkcode ApexError} is a bug in apex: it is logged with its stack. */
export function controlError(error: unknown, { op, logger }: { op: string; logger: Logger }): ControlError {
  const message = messageOf(error);
  if (error instanceof ApexError) {
    return { code: ERROR_CODES.find((code) => code === error.code) ?? "failed", message };
  }
  logger.error(`${op} failed: ${error instanceof Error ? error.stack ?? message : message}`);
  return { code: "failed" satisfies ControlErrorCode, message };
}
