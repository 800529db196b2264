import type { SocketPaths } from "../platform/directories.ts";
import type { Output } from "./output/output.ts";
import type { Input } from "./terminal/input.ts";

/** Signals that a verb may take over. */
export type VerbSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGWINCH";

/** What a verb gets from outside: no verb looks for itself. */
export interface CliContext extends BaseContext {
  /**
   * Refuses a daemon that this verb must not use, or warns of it (`daemon_check.ts`). It is called before the verb begins;
   * the verb calls it before it connects to a daemon that may be another one by then.
   */
  readonly checkDaemon: (sockets: SocketPaths) => Promise<void>;
}

/** The same of all verbs. */
export interface BaseContext {
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
