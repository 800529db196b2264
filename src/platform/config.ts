/**
 * What a person may set: flags, then environment, then `config.toml`, then the defaults. Everything that makes no
 * sense is refused with one line that names where it stands.
 */
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { ApexError, messageOf } from "./apex_error.ts";
import type { Paths, ReadEnv } from "./directories.ts";
import { ENGINE_CHOICES, isEngineChoice } from "./engine_choice.ts";
import { LOG_LEVELS, type LogLevel } from "./log_level.ts";

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
  /** Connections to apex.socket at one time. */
  readonly maxControlConnections: number;
}

/** What the command line says. */
export interface ConfigFlags {
  readonly engine?: string | undefined;
  readonly logLevel?: LogLevel | undefined;
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
  };
}

const DEFAULTS = {
  engine: "auto",
  logLevel: "info",
  // Each costs a descriptor and some 3 KB; far more than anybody watches with, far less than harms the machine.
  maxSubscribers: 16_384,
  // One request takes a millisecond; this many at once is a client gone wrong.
  maxControlConnections: 256,
} as const;

const connections = v.pipe(
  v.number("must be a number"),
  v.integer("must be a whole number"),
  v.minValue(1, "must be at least 1"),
  v.maxValue(1_000_000, "must be at most 1000000"),
);

const fileEntries = {
  engine: v.optional(
    v.pipe(v.string("must be a string"), v.check(isEngineChoice, `must be ${ENGINE_CHOICES}`)),
  ),
  "log_level": v.optional(v.picklist(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(", ")}`)),
  "max_subscribers": v.optional(connections),
  "max_control_connections": v.optional(connections),
};

const fileSchema = v.object(fileEntries);

type ConfigFile = v.InferOutput<typeof fileSchema>;

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

function parseConfigFile(text: string, path: string): ConfigFile {
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // The first line says what is wrong; those after it draw the place, which line and column tell as well.
    const what = error.message.split("\n", 1)[0] ?? "";
    throw new ApexError("usage", `${path}:${error.line}:${error.column}: ${what}`, { cause: error });
  }
  for (const key of Object.keys(table)) {
    if (!Object.hasOwn(fileEntries, key)) throw new ApexError("usage", `${path}: ${unknownKey(key)}`);
  }
  const parsed = v.safeParse(fileSchema, table);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const key = v.getDotPath(issue) ?? "";
  throw new ApexError("usage", `${path}: ${key} ${issue.message}, not ${JSON.stringify(issue.input)}`);
}

function unknownKey(key: string): string {
  const known = Object.keys(fileEntries);
  const closest = known
    .map((name) => ({ name, distance: levenshteinDistance(key, name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  // A third of the letters wrong is a slip of the pen; more is another word.
  const meant = closest && closest.distance <= Math.ceil(closest.name.length / 3) ? closest.name : undefined;
  const hint = meant ? `did you mean ${JSON.stringify(meant)}?` : `there are: ${known.join(", ")}`;
  return `unknown key ${JSON.stringify(key)} (${hint})`;
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
