import type { SocketPaths } from "../platform/directories.ts";
import type { Input, Output } from "./standard_streams.ts";

/** The signals that a verb may handle itself. */
export type VerbSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGWINCH";

/** Everything that a verb gets from its process; verbs read no global state themselves. */
export interface BaseContext {
  readonly env: (name: string) => string | undefined;
  readonly cwd: string;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** The command line that starts this program again. */
  readonly selfCommand: readonly string[];
  /** Calls `listener` instead of ending the process; the returned function restores the default. */
  readonly onSignal: (name: VerbSignal, listener: () => void) => () => void;
}

/** What a verb gets that asks the daemon. */
export interface VerbOptions {
  readonly sockets: SocketPaths;
  /** Print JSON instead of a table. */
  readonly json?: boolean | undefined;
}

export interface CliContext extends BaseContext {
  /**
   * Refuses a daemon that this verb must not use, or warns about it (see `daemon_check.ts`). It has been called before a
   * verb starts; the verb calls it again before it connects to a daemon that may have been replaced.
   */
  readonly checkDaemon: (sockets: SocketPaths) => Promise<void>;
}
