/** How `apex attach` ends: the message that it prints, and its exit status. */
import { ApexError } from "../../platform/apex_error.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import { type SessionDetach, type SessionExit, SILENT_FOR_MS } from "../../protocol/session_operations.ts";
import type { CliContext } from "../cli_context.ts";
import { RUN_FAILED_STATUS } from "../output/exit_status.ts";

/** How a connection to a session ended. */
export type RelayEnd =
  | { readonly kind: "exit"; readonly exit: SessionExit }
  | { readonly kind: "detach"; readonly detach: SessionDetach }
  /** The connection was lost, without a message from the daemon. */
  | { readonly kind: "lost" }
  /** This process received a signal. */
  | { readonly kind: "interrupted"; readonly signal: EndingSignal };

export type EndingSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

/**
 * Prints how it ended.
 *
 * @returns the exit status
 * @throws {ApexError} `stream_cut` or `protocol` when the connection ended unexpectedly; the session then continues
 */
export async function reportSessionEnd(
  end: RelayEnd,
  { context: { stderr }, name, isBackground }: {
    readonly context: CliContext;
    readonly name: string;
    readonly isBackground: boolean;
  },
): Promise<number> {
  const cut = (why: string): ApexError =>
    new ApexError("stream_cut", `${why}; session ${name} continues (see: apex attach ${name})`);
  switch (end.kind) {
    case "exit": {
      const note = exitNote(end.exit, name);
      if (note !== undefined) await stderr.print(`apex: ${note}`);
      return end.exit.exitCode ?? RUN_FAILED_STATUS;
    }
    case "interrupted":
      return exitCodeOfSignal(end.signal);
    case "lost":
      throw cut("lost the connection to the daemon");
  }
  const { reason, error } = end.detach;
  switch (reason) {
    case "requested":
      if (!isBackground) await stderr.print(`apex: detached from session ${name}`);
      return 0;
    case "forced":
      await stderr.print(`apex: detached from session ${name}: another client attached with --force`);
      return 0;
    case "slow":
      throw cut("detached: this terminal did not read the session's output");
    case "silent":
      throw cut(`detached: the daemon received nothing from this client for ${SILENT_FOR_MS / 1_000} s`);
    case "shutdown":
      throw cut("the daemon has shut down");
    default:
      throw new ApexError(
        "protocol",
        `the daemon detached this client from session ${name}: ${error ?? reason}`,
      );
  }
}

function exitNote({ reason }: SessionExit, name: string): string | undefined {
  const notes: Readonly<Record<SessionExit["reason"], string | undefined>> = {
    exit: undefined,
    killed: `session ${name} was killed`,
    ttl: `session ${name} has reached the end of its lifetime (--ttl)`,
    removed: `the container of session ${name} was removed`,
  };
  return notes[reason];
}
