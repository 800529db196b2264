/** What ContainerManager's operations take and return. */
import type { ExecRequest } from "../../engine/exec_command.ts";
import type { PullProgress } from "../../engine/image_pull.ts";

/**
 * What a client can choose for the container of a task. The layers share these fields: `TaskSpec` of the orchestrator
 * extends this type, and passes it through the workspace to {@linkcode ContainerSpec}, which `create_body.ts` converts for
 * the engine. The wire form is `taskSpecSchema` in `src/protocol`; a test compares the two.
 */
export interface TaskContainerSpec {
  readonly image: string;
  readonly entrypoint?: readonly string[];
  /** Default: the image's command. */
  readonly cmd?: readonly string[];
  /** Names that start with `apex.` are reserved. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  /**
   * A directory of the engine's machine. It is mounted at {@linkcode WORKSPACE_PATH}, and is the working directory unless
   * `workdir` is set. An engine that cannot mount starts the command in the directory itself.
   */
  readonly projectDir?: string;
  /** Absolute path in the container. */
  readonly workdir?: string;
  /** `name`, `uid` or `uid:gid`. */
  readonly user?: string;
  /** `none`, `host`, `bridge` or a network's name. Default: the engine's. */
  readonly network?: string;
  /** Processors; fractions are allowed. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly pidsLimit?: number;
  readonly ports?: readonly PortMapping[];
  readonly gpus?: GpuRequest;
  /** Whether the engine's init runs as process 1. Default: if the engine has one. */
  readonly init?: boolean;
}

/** The container to create, in apex's terms. */
export interface ContainerSpec extends Omit<TaskContainerSpec, "init"> {
  /** Default: the engine chooses a name. */
  readonly name?: string;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly healthcheck?: HealthcheckSpec;
  readonly autoRemove?: boolean;
  readonly tty?: boolean;
  /** Keeps standard input open, so that an attached client can write to it. */
  readonly openStdin?: boolean;
  /** Ends standard input when the first attached client ends it, or disconnects. */
  readonly stdinOnce?: boolean;
  /** Keeps the output byte for byte, unless the engine's configuration chooses another log. */
  readonly exactOutput?: boolean;
  /** The first signal of the engine's stop. Default: the image's, or SIGTERM. */
  readonly stopSignal?: string;
  /**
   * Whether the engine runs its init as process 1, which forwards signals and reaps orphaned processes. `if-available`: if the
   * engine has one. Default: the engine's.
   */
  readonly init?: boolean | "if-available";
}

/** The path of the project directory in a container. */
export const WORKSPACE_PATH = "/workspace";

/** A directory or file of the engine's machine, or a named volume, mounted in the container. */
export interface Mount {
  /** An absolute path, or the name of a volume. */
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  readonly readOnly?: boolean;
}

/** A port of the container that is published at a port of the engine's machine. */
export interface PortMapping {
  readonly containerPort: number;
  readonly protocol: PortProtocol;
  /** Absent: the engine chooses a free port. */
  readonly hostPort?: number;
  /** Absent: all addresses. */
  readonly hostIp?: string;
}

export type PortProtocol = "tcp" | "udp" | "sctp";

/** All GPUs, a number of them, or a list of ids or indices as the driver knows them. */
export type GpuRequest = "all" | number | readonly string[];

export interface HealthcheckSpec {
  readonly cmd: readonly string[];
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly startPeriodMs?: number;
  readonly retries?: number;
}

export interface PullImageOptions {
  readonly abort?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** When the image is pulled: if the engine does not have it, before each creation, or never. */
export type PullPolicy = "missing" | "always" | "never";

export interface CreateOptions {
  /** Default: `missing`. */
  readonly pull?: PullPolicy | undefined;
  /** Ignored once the create request is sent: then the container may exist, and is returned. */
  readonly abort?: AbortSignal | undefined;
  readonly onPullProgress?: ((progress: PullProgress) => void) | undefined;
}

export interface CreatedContainer {
  readonly id: string;
  /** Without the leading slash. */
  readonly name: string;
  /** The engine's warnings about options that it ignores. */
  readonly warnings: readonly string[];
}

export interface FailureOptions {
  /**
   * Whether this failure is published. Default: yes. The caller gets the error in either case. For callers that try again,
   * or for which the failure is as good as a success.
   */
  readonly isPublished?: ((error: unknown) => boolean) | undefined;
}

export interface StartOptions {
  /** Ends the wait. The engine still completes the operation. */
  readonly abort?: AbortSignal | undefined;
}

export interface RestartOptions {
  /** Time before SIGKILL, in whole seconds; -1: no SIGKILL. Default: the container's own, else 10. */
  readonly timeoutSeconds?: number | undefined;
}

export interface StopOptions extends StartOptions, RestartOptions {}

export interface KillOptions extends FailureOptions {
  /** A Unix signal, by name or number. Default: SIGKILL. */
  readonly signal?: string | undefined;
}

export interface RemoveOptions extends FailureOptions {
  /** Kill the container if it runs. */
  readonly force?: boolean | undefined;
  /** Remove the container's anonymous volumes too. */
  readonly volumes?: boolean | undefined;
}

export interface ExecOptions extends Omit<ExecRequest, "id" | "cmd" | "env" | "clock"> {
  readonly env?: Readonly<Record<string, string>>;
}
