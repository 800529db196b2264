/**
 * The parts of the engine's replies that apex reads, in the engine's spelling (Docker Engine API; Podman's compatible
 * API has the same). Fields that some engine or version leaves out are optional.
 */

/** The kind of engine behind the socket. */
export type EngineKind = "docker" | "podman" | "embedded";

/** How an engine identifies itself. */
export interface EngineIdentity {
  readonly kind: EngineKind;
  /** The engine's own version, `28.1.1`; for Podman, not that of the API it emulates. */
  readonly version: string;
  /** The negotiated API version, `1.41`: the prefix of requests. */
  readonly apiVersion: string;
}

/** `GET /version`. */
export interface EngineVersion {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly Platform?: { readonly Name?: string };
  readonly Components?: readonly { readonly Name: string; readonly Version: string }[] | null;
}

/** `GET /info`. */
export interface EngineInfo {
  /** `json-file`, `local`, `journald` …: the default log driver of containers. */
  readonly LoggingDriver?: string;
  /** Stable for Docker and the embedded engine; Podman generates a new one for each request. */
  readonly ID: string;
  /** The engine's clock, RFC 3339 with up to nine decimals. */
  readonly SystemTime: string;
  readonly Name?: string;
  readonly DockerRootDir?: string;
  readonly ServerVersion?: string;
  /** Docker reports `N/A` when its init (`docker-init`) cannot be run. */
  readonly InitCommit?: { readonly ID?: string };
}

/** One container of `GET /containers/json`. */
export interface ContainerSummary {
  /** 64 hex digits. */
  readonly Id: string;
  /** Each with a leading slash. A container that is being removed may have none. */
  readonly Names: readonly string[] | null;
  readonly Image: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  /** `created running paused restarting removing exited dead`; Podman adds `configured`, `stopped` … */
  readonly State: string;
  /** For display: `Exited (3) 2 minutes ago`, `Up 5 seconds (healthy)`. */
  readonly Status: string;
  /** Seconds since the Unix epoch. */
  readonly Created: number;
}

/** `GET /containers/{id}/json`. */
export interface ContainerInspect {
  readonly Id: string;
  /** With a leading slash. */
  readonly Name: string;
  /** RFC 3339. */
  readonly Created: string;
  readonly Config: {
    readonly Image: string;
    readonly Labels: Readonly<Record<string, string>> | null;
    /** A name or a number; absent or empty means SIGTERM. */
    readonly StopSignal?: string;
    /** The container has a terminal: its output is one raw stream. */
    readonly Tty?: boolean;
  };
  readonly State: ContainerState;
  readonly HostConfig?: { readonly AutoRemove?: boolean };
}

export interface ContainerState {
  readonly Status: string;
  readonly Running: boolean;
  readonly ExitCode: number;
  readonly OOMKilled: boolean;
  readonly Error: string;
  /** RFC 3339; year 1 when the container was never started. */
  readonly StartedAt: string;
  /** RFC 3339; year 1 when the container never exited. */
  readonly FinishedAt: string;
  /** Only for containers with a health check. */
  readonly Health?: ContainerHealth | null;
}

export interface ContainerHealth {
  /** `starting healthy unhealthy none`. */
  readonly Status: string;
  readonly FailingStreak: number;
  /** The last probes, oldest first. */
  readonly Log?:
    | readonly {
      readonly Start: string;
      readonly End: string;
      readonly ExitCode: number;
      readonly Output: string;
    }[]
    | null;
}

/** One reading of `GET /containers/{id}/stats`. Some parts are empty for a container that is not running. */
export interface ContainerStatsReply {
  readonly "memory_stats"?: {
    readonly usage?: number;
    /** The machine's memory when no limit is set. */
    readonly limit?: number;
    /** Named as by the kernel, differently for versions 1 and 2 of control groups. */
    readonly stats?: Readonly<Record<string, number>> | null;
  };
  readonly "pids_stats"?: { readonly current?: number; readonly limit?: number };
  readonly "cpu_stats"?: CpuReading;
  /** The previous reading; zeros or absent when only one was taken. */
  readonly "precpu_stats"?: CpuReading;
}

/** One reading, in nanoseconds since some fixed moment. */
export interface CpuReading {
  readonly "cpu_usage"?: { readonly "total_usage"?: number };
  readonly "system_cpu_usage"?: number;
  readonly "online_cpus"?: number;
}

/** `GET /exec/{id}/json`. */
export interface ExecInspect {
  readonly Running: boolean;
  /** `null` until the command has exited. */
  readonly ExitCode: number | null;
}
