import type { Output } from "./output.ts";

/** What a verb gets from outside: no verb looks for itself. */
export interface CliContext {
  readonly env: (name: string) => string | undefined;
  readonly cwd: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}
