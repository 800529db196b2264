/**
 * The daemon's settings: flags, then environment variables, then `config.toml`, then the defaults. An invalid value is
 * refused with one line that names its source.
 */
import { ApexError, messageOf } from "./apex_error.ts";
import { type ConfigFile, parseConfigFile } from "./config_file.ts";
import type { Paths, ReadEnv } from "./directories.ts";
import { LOG_LEVELS, type LogLevel } from "./setting_values.ts";

export type { LogLevel };

/** The complete settings of the daemon. */
export interface Config {
  /** `auto`, `docker`, `podman`, `embedded` or `unix://PATH`. */
  readonly engine: string;
  /** Where `engine` comes from, for messages: `--engine`, `engine in /…/config.toml`, `default`. */
  readonly engineSource: string;
  readonly logLevel: LogLevel;
  /** Maximum number of connections to events.socket. */
  readonly maxSubscribers: number;
  /** Maximum number of connections to apex.socket that wait for their reply. */
  readonly maxControlConnections: number;
  /** Maximum number of connections to apex.socket on which an operation streams (`run`, `logs`, `wait`). */
  readonly maxStreams: number;
  /** The default image of tasks. */
  readonly image: string;
  /** Maximum number of running tasks; further ones are queued. Absent: no limit. */
  readonly maxConcurrentTasks?: number;
  /** How long a stopped task may take to exit before it is killed. */
  readonly stopTimeoutSeconds: number;
  /** Whether `run`, `attach` and `events` start a daemon when none runs. */
  readonly daemonize: boolean;
  readonly healthWatch: HealthWatchConfig;
  readonly session: SessionConfig;
  readonly journal: JournalConfig;
  readonly keepOutput: KeepOutputConfig;
}

/** How much task output is kept after the containers are removed. */
export interface KeepOutputConfig {
  /** Per task; 0 keeps nothing. */
  readonly maxBytes: number;
  /** For all tasks together. */
  readonly maxTotalBytes: number;
}

/** Whether and how long events are kept on disk. The journal has the defaults. */
export interface JournalConfig {
  readonly isKept: boolean;
  readonly maxAgeMs?: number;
  /** The maximum size of the whole database. */
  readonly maxBytes?: number;
}

/** Defaults for new sessions. */
export interface SessionConfig {
  readonly image: string;
  /** Absent: the image's default command. */
  readonly cmd?: readonly string[];
  /** What a client is shown on attach: `screen`, `lines=N` or `none`. */
  readonly restore: string;
  /** Lines that are kept after they have scrolled off the screen. */
  readonly scrollbackLines: number;
  /** The time between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  /** Absent: the client's default. */
  readonly detachKeys?: string;
}

/** The checks of containers without a health check, as the file configures them. The monitor has the defaults. */
export interface HealthWatchConfig {
  readonly enabled?: boolean;
  /** Between two checks of a container. */
  readonly intervalMs?: number;
  /** The share of its memory limit, 0 to 1, above which a container is unhealthy. */
  readonly memoryShareLimit?: number;
  /** The share of its process limit, 0 to 1. */
  readonly pidsShareLimit?: number;
  /** The number of consecutive checks above a limit that make a container unhealthy. */
  readonly failureThreshold?: number;
}

/** The flags that override the file. */
export interface ConfigFlags {
  readonly engine?: string | undefined;
  readonly logLevel?: LogLevel | undefined;
  /** False: keep no journal. */
  readonly journal?: boolean | undefined;
}

export interface LoadConfigOptions {
  readonly paths: Pick<Paths, "configFile" | "configFileIsChosen">;
  readonly env: ReadEnv;
  readonly flags: ConfigFlags;
}

/** @throws {ApexError} `usage`, naming the file and key, or the variable, of an invalid value */
export async function loadConfig(options: LoadConfigOptions): Promise<Config> {
  const { paths, env, flags } = options;
  const file = parseConfigFile(await readConfigFile(paths), paths.configFile);
  return {
    ...engineSetting(file, options),
    logLevel: flags.logLevel ?? logLevelFromEnv(env) ?? file.log_level ?? DEFAULTS.logLevel,
    maxSubscribers: file.max_subscribers ?? DEFAULTS.maxSubscribers,
    maxControlConnections: file.max_control_connections ?? DEFAULTS.maxControlConnections,
    maxStreams: file.max_streams ?? DEFAULTS.maxStreams,
    image: file.image ?? DEFAULTS.image,
    ...(file.max_concurrent_tasks !== undefined && { maxConcurrentTasks: file.max_concurrent_tasks }),
    stopTimeoutSeconds: stopTimeoutSeconds(file.stop_timeout),
    daemonize: file.daemonize ?? DEFAULTS.daemonize,
    healthWatch: healthWatchSetting(file.health_watch),
    session: sessionSetting(file),
    journal: journalSetting(file, flags),
    keepOutput: {
      maxBytes: file.tasks?.keep_output ?? DEFAULTS.keepOutputBytes,
      maxTotalBytes: file.tasks?.keep_output_total ?? DEFAULTS.keepOutputTotalBytes,
    },
  };
}

const DEFAULTS = {
  engine: "auto",
  logLevel: "info",
  // Each costs a descriptor and some 3 KB: more than any real use, and harmless to the machine.
  maxSubscribers: 16_384,
  // One request takes a millisecond; this many at once come from a faulty client.
  maxControlConnections: 256,
  // Each is a waiting client, and costs two descriptors.
  maxStreams: 4_096,
  image: "busybox",
  // As with `docker stop`.
  stopTimeoutSeconds: 10,
  daemonize: true,
  restore: "screen",
  // Forty screens; some 2 MB of cells for a session of 80 columns.
  scrollbackLines: 1_000,
  killGraceMs: 10_000,
  // Enough for a stack trace and its context; read and written in a few milliseconds.
  keepOutputBytes: 1024 * 1024,
  keepOutputTotalBytes: 64 * 1024 * 1024,
} as const;

/** Engines take whole seconds. A duration under one second must not become 0. */
function stopTimeoutSeconds(durationMs: number | undefined): number {
  return durationMs === undefined ? DEFAULTS.stopTimeoutSeconds : Math.ceil(durationMs / 1_000);
}

function healthWatchSetting(file: ConfigFile["health_watch"] = {}): HealthWatchConfig {
  const { enabled, interval, memory_share: memoryShare, pids_share: pidsShare, failures } = file;
  return {
    ...(enabled !== undefined && { enabled }),
    ...(interval !== undefined && { intervalMs: interval }),
    ...(memoryShare !== undefined && { memoryShareLimit: memoryShare }),
    ...(pidsShare !== undefined && { pidsShareLimit: pidsShare }),
    ...(failures !== undefined && { failureThreshold: failures }),
  };
}

function journalSetting({ journal = true }: ConfigFile, flags: ConfigFlags): JournalConfig {
  if (typeof journal === "boolean") return { isKept: journal && flags.journal !== false };
  const { max_age: maxAgeMs, max_bytes: maxBytes } = journal;
  return {
    isKept: flags.journal !== false,
    ...(maxAgeMs !== undefined && { maxAgeMs }),
    ...(maxBytes !== undefined && { maxBytes }),
  };
}

function sessionSetting({ image, session = {} }: ConfigFile): SessionConfig {
  const { command, restore, scrollback, kill_grace: killGrace, detach_keys: detachKeys } = session;
  return {
    image: session.image ?? image ?? DEFAULTS.image,
    ...(command !== undefined && { cmd: command }),
    restore: restore ?? DEFAULTS.restore,
    scrollbackLines: scrollback ?? DEFAULTS.scrollbackLines,
    killGraceMs: killGrace ?? DEFAULTS.killGraceMs,
    ...(detachKeys !== undefined && { detachKeys }),
  };
}

async function readConfigFile(paths: LoadConfigOptions["paths"]): Promise<string> {
  try {
    return await Deno.readTextFile(paths.configFile);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && !paths.configFileIsChosen) return "";
    throw new ApexError("usage", `cannot read the configuration ${paths.configFile}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function engineSetting(
  file: ConfigFile,
  { paths, flags }: LoadConfigOptions,
): Pick<Config, "engine" | "engineSource"> {
  if (flags.engine !== undefined) return { engine: flags.engine, engineSource: "--engine" };
  if (file.engine !== undefined) {
    return { engine: file.engine, engineSource: `engine in ${paths.configFile}` };
  }
  return { engine: DEFAULTS.engine, engineSource: "default" };
}

function logLevelFromEnv(env: ReadEnv): LogLevel | undefined {
  const value = env("APEX_LOG_LEVEL");
  if (value === undefined || value === "") return undefined;
  const level = LOG_LEVELS.find((name) => name === value);
  if (level === undefined) {
    throw new ApexError(
      "usage",
      `APEX_LOG_LEVEL must be one of ${LOG_LEVELS.join(", ")}, not ${JSON.stringify(value)}`,
    );
  }
  return level;
}
