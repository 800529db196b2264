/**
 * The parts of the engine's replies that apex reads, in the engine's own spelling (Docker Engine API; Podman's
 * compatible API has the same). A field that some engine or version leaves out is optional.
 */

/** What answers behind the socket. */
export type EngineKind = "docker" | "podman" | "embedded";

/** What an engine says about itself. */
export interface EngineIdentity {
  readonly kind: EngineKind;
  /** Its own version, `28.1.1`; Podman's, not that of the API it imitates. */
  readonly version: string;
  /** The negotiated API version, `1.41`: what requests are prefixed with. */
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
  /** `json-file`, `local`, `journald` …: where containers' output goes unless they say otherwise. */
  readonly LoggingDriver?: string;
  /** Stable for Docker and the embedded engine; Podman makes a new one for each request. */
  readonly ID: string;
  /** The engine's clock, RFC 3339 with up to nine decimals. */
  readonly SystemTime: string;
  readonly Name?: string;
  readonly DockerRootDir?: string;
  readonly ServerVersion?: string;
  /** Docker: `N/A` where its init (`docker-init`) cannot be run. */
  readonly InitCommit?: { readonly ID?: string };
}

/** One container of `GET /containers/json`. */
export interface ContainerSummary {
  /** 64 hex digits. */
  readonly Id: string;
  /** With a leading slash each. A container that is being removed may have none. */
  readonly Names: readonly string[] | null;
  readonly Image: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  /** `created running paused restarting removing exited dead`; Podman has `configured`, `stopped` … as well. */
  readonly State: string;
  /** For people: `Exited (3) 2 minutes ago`, `Up 5 seconds (healthy)`. */
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
    /** A name or a number; absent or empty: SIGTERM. */
    readonly StopSignal?: string;
    /** It has a terminal: its output is one raw stream. */
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
  /** RFC 3339; year 1 when it never started. */
  readonly StartedAt: string;
  /** RFC 3339; year 1 when it never ended. */
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

/** `GET /containers/{id}/stats`, of one moment. A container that does not run has empty parts. */
export interface ContainerStatsReply {
  readonly "memory_stats"?: {
    readonly usage?: number;
    /** That of the machine when none was set. */
    readonly limit?: number;
    /** By the kernel's names, which differ between versions 1 and 2 of control groups. */
    readonly stats?: Readonly<Record<string, number>> | null;
  };
  readonly "pids_stats"?: { readonly current?: number; readonly limit?: number };
  readonly "cpu_stats"?: CpuReading;
  /** The reading before; zeros or absent where only one was made. */
  readonly "precpu_stats"?: CpuReading;
}

/** Of one moment, in nanoseconds since something's start. */
export interface CpuReading {
  readonly "cpu_usage"?: { readonly "total_usage"?: number };
  readonly "system_cpu_usage"?: number;
  readonly "online_cpus"?: number;
}

/** `GET /exec/{id}/json`. */
export interface ExecInspect {
  readonly Running: boolean;
  /** `null` until it has ended. */
  readonly ExitCode: number | null;
}
