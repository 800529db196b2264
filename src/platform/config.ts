/**
 * What a person may set: flags, then environment, then `config.toml`, then the defaults. Everything that makes no
 * sense is refused with one line that names where it stands.
 */
import { ApexError, messageOf } from "./apex_error.ts";
import { type ConfigFile, parseConfigFile } from "./config_file.ts";
import type { Paths, ReadEnv } from "./directories.ts";
import { LOG_LEVELS, type LogLevel } from "./setting_values.ts";

export type { LogLevel };

/** The daemon's settings, complete. */
export interface Config {
  /** `auto`, `docker`, `podman`, `embedded` or `unix://PATH` */
  readonly engine: string;
  /** Where `engine` comes from, for messages: `--engine`, `engine in /…/config.toml`, `default`. */
  readonly engineSource: string;
  readonly logLevel: LogLevel;
  /** Connections to events.socket at one time. */
  readonly maxSubscribers: number;
  /** Connections to apex.socket that wait for their reply, at one time. */
  readonly maxControlConnections: number;
  /** Connections to apex.socket on which something is streamed (`run`, `logs`, `wait`), at one time. */
  readonly maxStreams: number;
  /** What a task runs in that names no image. */
  readonly image: string;
  /** Tasks that run at one time; the others wait their turn. Absent: as many as come. */
  readonly maxConcurrentTasks?: number;
  /** How long a task that is stopped may take before it is killed. */
  readonly stopTimeoutSeconds: number;
  /** Whether `run`, `attach` and `events` start a daemon when none runs. */
  readonly daemonize: boolean;
  readonly healthWatch: HealthWatchConfig;
  readonly session: SessionConfig;
  readonly journal: JournalConfig;
  readonly keepOutput: KeepOutputConfig;
}

/** How much of the output of tasks is kept after their containers are removed. */
export interface KeepOutputConfig {
  /** Of one task; 0: nothing is kept. */
  readonly maxBytes: number;
  /** Of all tasks. */
  readonly maxTotalBytes: number;
}

/** Whether and how long events are kept on disk; the journal has the defaults. */
export interface JournalConfig {
  readonly isKept: boolean;
  readonly maxAgeMs?: number;
  /** Of the whole database. */
  readonly maxBytes?: number;
}

/** What a session is, where the one who opens it does not say. */
export interface SessionConfig {
  readonly image: string;
  /** Absent: the image's own. */
  readonly cmd?: readonly string[];
  /** What a client is shown first: `screen`, `lines=N` or `none`. */
  readonly restore: string;
  /** Lines kept of what has scrolled off the screen. */
  readonly scrollbackLines: number;
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  /** Absent: the client's own. */
  readonly detachKeys?: string;
}

/** What the file says of the watch on containers without a health check; the monitor has the defaults. */
export interface HealthWatchConfig {
  readonly enabled?: boolean;
  /** Between two looks at one container. */
  readonly intervalMs?: number;
  /** Share of its memory limit, 0 to 1, beyond which a container is unhealthy. */
  readonly memoryShareLimit?: number;
  /** Share of its limit of processes, 0 to 1. */
  readonly pidsShareLimit?: number;
  /** So many looks in a row must find it beyond a limit. */
  readonly failureThreshold?: number;
}

/** What the command line says. */
export interface ConfigFlags {
  readonly engine?: string | undefined;
  readonly logLevel?: LogLevel | undefined;
  /** False: keep none. */
  readonly journal?: boolean | undefined;
}

export interface LoadConfigOptions {
  readonly paths: Pick<Paths, "configFile" | "configFileIsChosen">;
  readonly env: ReadEnv;
  readonly flags: ConfigFlags;
}

/** @throws {ApexError} `usage`, naming the file and key, or the variable, that makes no sense. */
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
  // Each costs a descriptor and some 3 KB; far more than anybody watches with, far less than harms the machine.
  maxSubscribers: 16_384,
  // One request takes a millisecond; this many at once is a client gone wrong.
  maxControlConnections: 256,
  // Each is a client that waits, and costs two descriptors.
  maxStreams: 4_096,
  image: "busybox",
  // As `docker stop` has it.
  stopTimeoutSeconds: 10,
  daemonize: true,
  restore: "screen",
  // A screen's worth forty times over; some 2 MB of cells for a session of 80 columns.
  scrollbackLines: 1_000,
  killGraceMs: 10_000,
  // Enough for a stack trace and what led to it; read and written in a few milliseconds.
  keepOutputBytes: 1024 * 1024,
  keepOutputTotalBytes: 64 * 1024 * 1024,
} as const;

/** Engines take whole seconds; less than one must not become "at once". */
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
