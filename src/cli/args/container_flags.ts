/** Flags that verbs which make containers have in common. */
import { resolve } from "@std/path/posix";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { TaskSpecRequest } from "../../protocol/control.ts";
import type { CliContext } from "../cli_context.ts";
import { readEnvFile } from "./env_file.ts";

/**
 * What a flag's text means.
 *
 * @throws {ApexError} `usage`, with the flag's name before what `parse` said; and for a value that is not greater than 0.
 */
export function positive(flag: string, text: string, parse: (text: string) => number): number {
  let value: number;
  try {
    value = parse(text);
  } catch (error) {
    throw new ApexError("usage", `${flag}: ${messageOf(error)}`, { cause: error });
  }
  if (value > 0) return value;
  throw new ApexError("usage", `${flag}: ${JSON.stringify(text)} must be greater than 0`);
}

/**
 * Of `-e KEY=VALUE`, and `-e KEY` for what it is here.
 *
 * @throws {ApexError} `usage`, naming what has no name
 */
export function environment(settings: readonly string[], { env }: CliContext): Record<string, string> {
  const result: [string, string][] = [];
  for (const setting of settings) {
    const [, name, value] = /^([^=]+)(?:=([^]*))?$/.exec(setting) ?? [];
    if (name === undefined) {
      throw new ApexError(
        "usage",
        `-e: ${JSON.stringify(setting)} has no name (try: -e KEY=VALUE or -e KEY)`,
      );
    }
    // As with Docker, what is not set here is not set there either.
    const given = value ?? env(name);
    if (given !== undefined) result.push([name, given]);
  }
  return Object.fromEntries(result);
}

/**
 * The environment of `--env-file` and `-e`; the latter wins.
 *
 * @throws {ApexError} `usage`
 */
export function environmentOf(
  { env = [], envFile = [] }: EnvironmentFlags,
  context: CliContext,
): Record<string, string> {
  const files = envFile.flatMap((path) => readEnvFile(path, context));
  return { ...environment(files, context), ...environment(env, context) };
}

export interface EnvironmentFlags {
  /** Each `KEY=VALUE`, or `KEY` alone for what it is here. */
  readonly env?: readonly string[] | undefined;
  /** Paths of files with such lines. */
  readonly envFile?: readonly string[] | undefined;
}

/**
 * Of `--label NAME=VALUE`, or `--label NAME` for an empty value.
 *
 * @throws {ApexError} `usage`, naming what has no name, or one of apex's own
 */
export function labels(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(settings.map((setting) => {
    const [, name, value = ""] = /^([^=]+)(?:=([^]*))?$/.exec(setting) ?? [];
    if (name === undefined) {
      throw new ApexError(
        "usage",
        `--label: ${JSON.stringify(setting)} has no name (try: --label NAME=VALUE)`,
      );
    }
    if (name.startsWith("apex.")) {
      throw new ApexError("usage", `--label: ${name}: labels that begin with "apex." are reserved for apex`);
    }
    return [name, value];
  }));
}

export type MountRequest = NonNullable<TaskSpecRequest["mounts"]>[number];

/**
 * Of `-v SOURCE:TARGET` and `-v SOURCE:TARGET:ro`.
 *
 * @throws {ApexError} `usage`, naming what is of another form
 */
export function mount(text: string, { cwd }: CliContext): MountRequest {
  const [source = "", target = "", mode, ...more] = text.split(":");
  const isReadable = source !== "" && target !== "" && more.length === 0;
  if (!isReadable || !(mode === undefined || mode === "ro" || mode === "rw")) {
    throw new ApexError(
      "usage",
      `-v: ${JSON.stringify(text)} is not of the form SOURCE:TARGET or SOURCE:TARGET:ro`,
    );
  }
  if (!target.startsWith("/")) {
    throw new ApexError(
      "usage",
      `-v: ${JSON.stringify(text)}: ${target} must be an absolute path in the container`,
    );
  }
  return {
    // As with Docker, a name without a slash is a volume's; `.` and `..` are directories all the same.
    source: source.includes("/") || source === "." || source === ".." ? resolve(cwd, source) : source,
    target,
    ...(mode === "ro" && { readOnly: true }),
  };
}
