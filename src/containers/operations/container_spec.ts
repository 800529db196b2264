/** What a container is asked to be, in apex's own words; `create_body.ts` puts it into the engine's. */
export interface ContainerSpec {
  readonly image: string;
  /** The engine makes one up when it is absent. */
  readonly name?: string;
  readonly entrypoint?: readonly string[];
  /** Absent: the image's own. */
  readonly cmd?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly mounts?: readonly Mount[];
  /**
   * A directory of the engine's machine, mounted at {@linkcode WORKSPACE_PATH}; the working directory, unless `workdir`
   * names another. An engine that cannot mount starts the command in the directory itself.
   */
  readonly projectDir?: string;
  /** Absolute path in the container. */
  readonly workdir?: string;
  /** `name`, `uid` or `uid:gid`. */
  readonly user?: string;
  /** `none`, `host`, `bridge` or a network's name; absent: the engine's default. */
  readonly network?: string;
  /** Processors, fractions allowed. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly pidsLimit?: number;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly healthcheck?: HealthcheckSpec;
  readonly autoRemove?: boolean;
  readonly tty?: boolean;
  /** Keeps its standard input open, so that an attached client can write to it. */
  readonly openStdin?: boolean;
  /** Ends its standard input when the first client that was attached to it ends that, or leaves. */
  readonly stdinOnce?: boolean;
  /** Its output is to be kept byte for byte, where the engine's own log is not chosen otherwise. */
  readonly exactOutput?: boolean;
  readonly ports?: readonly PortMapping[];
  readonly gpus?: GpuRequest;
  /** What the engine's stop sends first; absent: the image's own, or SIGTERM. */
  readonly stopSignal?: string;
  /**
   * Whether the engine runs its init as process 1, which passes signals on and reaps orphans. `if-available`: where the
   * engine has one. Absent: the engine's default.
   */
  readonly init?: boolean | "if-available";
}

/** Where a container sees its project directory. */
export const WORKSPACE_PATH = "/workspace";

/** A directory or file of the engine's machine, or a named volume, as the container sees it. */
export interface Mount {
  /** An absolute path, or the name of a volume. */
  readonly source: string;
  /** Absolute path in the container. */
  readonly target: string;
  readonly readOnly?: boolean;
}

/** A port of the container that is reachable at one of the engine's machine. */
export interface PortMapping {
  readonly containerPort: number;
  readonly protocol: PortProtocol;
  /** Absent: the engine chooses a free one. */
  readonly hostPort?: number;
  /** Absent: all addresses. */
  readonly hostIp?: string;
}

export type PortProtocol = "tcp" | "udp" | "sctp";

/** All of them, how many, or which (ids or indices as the driver knows them). */
export type GpuRequest = "all" | number | readonly string[];

export interface HealthcheckSpec {
  readonly cmd: readonly string[];
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly startPeriodMs?: number;
  readonly retries?: number;
}
