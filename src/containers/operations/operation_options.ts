/** What ContainerManager's operations take and give back. */
import type { ExecRequest } from "../../engine/exec_command.ts";
import type { PullProgress } from "../../engine/image_pull.ts";

export interface PullImageOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** When its image is pulled: where it is missing, before each creation, or never. */
export type PullPolicy = "missing" | "always" | "never";

export interface CreateOptions {
  /** Default: `missing`. */
  readonly pull?: PullPolicy | undefined;
  /** Heeded until the engine is asked to create it; after that the container is there, and is returned. */
  readonly signal?: AbortSignal | undefined;
  readonly onPullProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface CreatedContainer {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  /** The engine's: what it was asked for and does not do. */
  readonly warnings: readonly string[];
}

export interface FailureOptions {
  /**
   * Whether this failure is told to everybody, by default each; its caller learns of it anyhow, as the same error. For who
   * goes on from it: tries again, or has what was asked for.
   */
  readonly isTold?: ((error: unknown) => boolean) | undefined;
}

export interface StartOptions {
  /** Gives up waiting; the engine goes on. */
  readonly signal?: AbortSignal | undefined;
}

export interface RestartOptions {
  /** Before SIGKILL, in whole seconds; -1: never. Default: the container's own, 10 if it has none. */
  readonly timeoutSeconds?: number | undefined;
}

export interface StopOptions extends StartOptions, RestartOptions {}

export interface KillOptions extends FailureOptions {
  /** A name or a number, SIGKILL by default. */
  readonly signal?: string | undefined;
}

export interface RemoveOptions extends FailureOptions {
  /** Kill it if it runs. */
  readonly force?: boolean | undefined;
  /** Its anonymous volumes too. */
  readonly volumes?: boolean | undefined;
}

export interface ExecOptions extends Omit<ExecRequest, "id" | "cmd" | "env" | "clock"> {
  readonly env?: Readonly<Record<string, string>>;
}
