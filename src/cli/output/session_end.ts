/** How `apex attach` ends: what it tells people of that, and its exit status. */
import { ApexError } from "../../platform/apex_error.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import { type SessionDetach, type SessionExit, SILENT_FOR_MS } from "../../protocol/session_messages.ts";
import type { CliContext } from "../cli_context.ts";
import type { RelayEnd } from "../terminal/session_console.ts";
import { RUN_FAILED_STATUS } from "./task_end.ts";

/**
 * Tells people how it ended.
 *
 * @returns the exit status
 * @throws {ApexError} `stream_cut` or `protocol` when it was cut off, and the session goes on
 */
export async function tellSessionEnd(
  end: RelayEnd,
  { context, name, isBackground }: {
    readonly context: CliContext;
    readonly name: string;
    readonly isBackground: boolean;
  },
): Promise<number> {
  const { stderr } = context;
  switch (end.kind) {
    case "exit":
      return await tellExit(end.exit, { context, name });
    case "detach":
      if (end.detach.reason === "requested") {
        if (!isBackground) await stderr.print(`apex: detached from session ${name}`);
        return 0;
      }
      return await tellDetach(end.detach, { context, name });
    case "interrupted":
      return exitCodeOfSignal(end.signal);
    case "lost":
      throw new ApexError("stream_cut", `lost the daemon; session ${name} goes on: apex attach ${name}`);
  }
}

async function tellExit(
  { reason, exitCode }: SessionExit,
  { context: { stderr }, name }: { readonly context: CliContext; readonly name: string },
): Promise<number> {
  switch (reason) {
    case "exit":
      break;
    case "killed":
      await stderr.print(`apex: session ${name} was killed`);
      break;
    case "ttl":
      await stderr.print(`apex: session ${name} has reached the end of its time to live`);
      break;
    case "removed":
      await stderr.print(`apex: the container of session ${name} was removed`);
      break;
  }
  return exitCode ?? RUN_FAILED_STATUS;
}

async function tellDetach(
  { reason, error }: SessionDetach,
  { context: { stderr }, name }: { readonly context: CliContext; readonly name: string },
): Promise<number> {
  switch (reason) {
    case "forced":
      await stderr.print(`apex: detached from session ${name}: another client took it (--force)`);
      return 0;
    case "slow":
      throw new ApexError(
        "stream_cut",
        `this terminal did not take the output of session ${name}; it goes on: apex attach ${name}`,
      );
    case "silent":
      throw new ApexError(
        "stream_cut",
        `the daemon heard nothing from here for ${SILENT_FOR_MS / 1_000} s and let go of session ${name}; ` +
          `it goes on: apex attach ${name}`,
      );
    case "shutdown":
      throw new ApexError("stream_cut", `the daemon has ended; session ${name} goes on: apex attach ${name}`);
    default:
      throw new ApexError("protocol", `the daemon let go of session ${name}: ${error ?? reason}`);
  }
}
