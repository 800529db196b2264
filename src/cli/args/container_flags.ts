/** The flags that `apex run` and `apex attach` share: those that describe a new container. */
import { resolve } from "@std/path/posix";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import type { PortRequest } from "../../protocol/operation.ts";
import type { TaskSpecRequest } from "../../protocol/task_operations.ts";
import type { BaseContext } from "../cli_context.ts";
import type { TextFlags } from "./flag_values.ts";

/** As written on the command line. */
export interface ContainerFlags extends TextFlags<"image" | "network" | "workdir" | "user"> {
  /** `--init` or `--no-init`. */
  readonly init?: boolean | undefined;
  /** Each `KEY=VALUE`, or `KEY` alone for the variable's value in this process. */
  readonly env?: readonly string[] | undefined;
  /** Paths of files with such lines. */
  readonly envFile?: readonly string[] | undefined;
  /** Each `KEY=VALUE`, or `KEY` alone for an empty value. */
  readonly label?: readonly string[] | undefined;
  /** Each `[[IP:]HOSTPORT:]PORT[/PROTOCOL]`. */
  readonly publish?: readonly string[] | undefined;
  /** Each `SOURCE:TARGET` or `SOURCE:TARGET:ro`. */
  readonly volume?: readonly string[] | undefined;
  /** Mount the current directory at `/workspace`. */
  readonly mount?: true | undefined;
}

export type ContainerRequest = Pick<
  TaskSpecRequest,
  "image" | "network" | "workdir" | "user" | "init" | "labels" | "ports" | "mounts" | "projectDir"
>;

/**
 * What the flags request of a container, without its environment (see {@linkcode environmentOf}).
 *
 * @throws {ApexError} `usage`, naming the flag and its value
 */
export function containerRequestOf(
  flags: ContainerFlags,
  { cwd }: Pick<BaseContext, "cwd">,
): ContainerRequest {
  const { image, network, workdir, user, init } = flags;
  return definedFields({
    image,
    network,
    workdir,
    user,
    init,
    labels: flags.label && labelsOf(flags.label),
    ports: flags.publish?.map(publishedPort),
    mounts: flags.volume?.map((text) => mountOf(text, cwd)),
    projectDir: flags.mount && cwd,
  });
}

/**
 * The environment that `--env-file` and `-e` give; `-e` wins over files, and later files win over earlier ones.
 *
 * @throws {ApexError} `usage`, naming the setting, or the file and the line
 */
export function environmentOf(
  { env = [], envFile = [] }: Pick<ContainerFlags, "env" | "envFile">,
  context: Pick<BaseContext, "cwd" | "env">,
): Record<string, string> {
  const files = envFile.flatMap((path) => readEnvFile(path, context));
  return Object.fromEntries([...files, ...env].flatMap((setting) => {
    const [name, given] = keyAndValue("-e", setting, "-e KEY=VALUE or -e KEY");
    // As with Docker, a variable that is not set here is not set in the container.
    const value = given ?? context.env(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

/**
 * The settings in a file for `--env-file`, in Docker's format: one `KEY=VALUE` per line, the value taken literally, quotes
 * included; or `KEY` alone. Empty lines and lines that start with `#` are skipped.
 *
 * @returns settings as `-e` takes them
 * @throws {ApexError} `usage`, naming the file and the line
 */
export function readEnvFile(path: string, { cwd }: Pick<BaseContext, "cwd">): string[] {
  const lines = readText(path, cwd).split(/\r?\n/).map((line) => line.trimStart());
  return lines.flatMap((line, index) => {
    if (line === "" || line.startsWith("#")) return [];
    const name = line.split("=", 1)[0]!;
    if (name === "" || /\s/.test(name)) {
      const why = name === "" ? "missing name before =" : `the name ${JSON.stringify(name)} contains a space`;
      throw new ApexError("usage", `--env-file: ${path}:${index + 1}: ${why} (expected: KEY=VALUE or KEY)`);
    }
    return [line];
  });
}

function readText(path: string, cwd: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(resolve(cwd, path)));
  } catch (error) {
    const why = error instanceof TypeError ? "it is not UTF-8" : messageOf(error);
    throw new ApexError("usage", `--env-file: cannot read ${path}: ${why}`, { cause: error });
  }
}

function labelsOf(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(settings.map((setting) => {
    const [name, value = ""] = keyAndValue("--label", setting, "--label KEY=VALUE");
    if (name.startsWith("apex.")) {
      throw new ApexError("usage", `--label: ${name}: labels that start with "apex." are reserved for apex`);
    }
    return [name, value];
  }));
}

function keyAndValue(flag: string, setting: string, form: string): [key: string, value: string | undefined] {
  const [, name, value] = /^([^=]+)(?:=([^]*))?$/.exec(setting) ?? [];
  if (name !== undefined) return [name, value];
  throw new ApexError("usage", `${flag}: ${JSON.stringify(setting)} has no name (try: ${form})`);
}

function mountOf(text: string, cwd: string): NonNullable<TaskSpecRequest["mounts"]>[number] {
  const [source = "", target = "", mode, ...more] = text.split(":");
  const hasBoth = source !== "" && target !== "" && more.length === 0;
  if (!hasBoth || !(mode === undefined || mode === "ro" || mode === "rw")) {
    throw new ApexError(
      "usage",
      `-v: invalid mount ${JSON.stringify(text)} (expected: SOURCE:TARGET or SOURCE:TARGET:ro)`,
    );
  }
  if (!target.startsWith("/")) {
    throw new ApexError(
      "usage",
      `-v: ${JSON.stringify(text)}: ${target} must be an absolute path in the container`,
    );
  }
  return {
    // As with Docker, a name without a slash is a volume; but `.` and `..` are directories.
    source: source.includes("/") || source === "." || source === ".." ? resolve(cwd, source) : source,
    target,
    ...(mode === "ro" && { readOnly: true }),
  };
}

const PORT_MAPPING = /^(?:(?:(\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+){3}):)?(\d*):)?(\d+)(?:\/(tcp|udp|sctp))?$/;

/**
 * The value of `-p`: a port of the container, and the port of the engine's machine that leads to it.
 *
 * @throws {ApexError} `usage`
 */
export function publishedPort(text: string): PortRequest {
  const [, hostIp, hostPort, containerPort, protocol] = PORT_MAPPING.exec(text) ?? [];
  if (containerPort === undefined) {
    const remedy = text.includes("-")
      ? "port ranges are not supported; repeat -p for each port"
      : "expected: PORT, HOSTPORT:PORT or IP:HOSTPORT:PORT, optionally followed by /tcp, /udp or /sctp";
    throw new ApexError("usage", `-p: invalid port mapping ${JSON.stringify(text)} (${remedy})`);
  }
  return {
    containerPort: portNumber(text, containerPort),
    protocol: (protocol ?? "tcp") as PortRequest["protocol"],
    ...(hostPort && { hostPort: portNumber(text, hostPort) }),
    ...(hostIp !== undefined && { hostIp: hostIp.replace(/^\[(.*)\]$/, "$1") }),
  };
}

function portNumber(text: string, digits: string): number {
  const port = Number(digits);
  if (port >= 1 && port <= 65_535) return port;
  throw new ApexError("usage", `-p: ${JSON.stringify(text)}: port numbers range from 1 to 65535`);
}
