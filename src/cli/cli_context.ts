import type { Input } from "./input.ts";
import type { Output } from "./output.ts";

/** Signals that a verb may take over. */
export type VerbSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGWINCH";

/** What a verb gets from outside: no verb looks for itself. */
export interface CliContext {
  readonly env: (name: string) => string | undefined;
  readonly cwd: string;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** How to start this same program again. */
  readonly selfCommand: readonly string[];
  /** Calls the listener instead of ending the process, until the returned function is called. */
  readonly onSignal: (name: VerbSignal, listener: () => void) => () => void;
}
