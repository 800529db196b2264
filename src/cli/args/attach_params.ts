/** From the flags of `apex attach` to what the daemon is asked for. */
import type { AttachParams } from "../../client/attached_session.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { parseDuration } from "../../platform/durations.ts";
import { parseRestoreMode } from "../../protocol/session_messages.ts";
import type { CliContext } from "../cli_context.ts";
import { consoleSize } from "../terminal/session_console.ts";
import { commandWords } from "./command_words.ts";
import { type EnvironmentFlags, environmentOf, labels, mount, positive } from "./container_flags.ts";
import { publishedPort } from "./publish_flag.ts";

/** The flags, as they were written. */
export interface AttachFlags extends EnvironmentFlags {
  readonly force?: true | undefined;
  readonly background?: true | undefined;
  readonly ttl?: string | undefined;
  readonly image?: string | undefined;
  readonly network?: string | undefined;
  /** A command line, parted into words here. */
  readonly cmd?: string | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  /** Each `NAME=VALUE`, or `NAME` alone for an empty value. */
  readonly label?: readonly string[] | undefined;
  /** Each `[[IP:]HOSTPORT:]PORT[/PROTOCOL]`. */
  readonly publish?: readonly string[] | undefined;
  /** Each `SOURCE:TARGET` or `SOURCE:TARGET:ro`. */
  readonly volume?: readonly string[] | undefined;
  /** The current directory is to be its `/workspace`. */
  readonly mount?: true | undefined;
  /** `--init` or `--no-init`. */
  readonly init?: boolean | undefined;
  readonly restore?: string | undefined;
  readonly detachKeys?: string | undefined;
}

export interface AttachParamsOptions {
  readonly name: string;
  /** What stands behind `--`: the command, in words already. */
  readonly command: readonly string[];
  readonly context: CliContext;
}

/** @throws {ApexError} `usage`, naming the flag and what stands behind it. */
export function attachParamsOf(
  flags: AttachFlags,
  { name, command, context }: AttachParamsOptions,
): AttachParams {
  const { force, background, image, network, workdir, user } = flags;
  // What paints a screen is of no use to a pipe.
  const restore = flags.restore ?? (context.stdout.isTerminal ? undefined : "none");
  const cmd = commandOf(flags, command);
  return {
    name,
    ...(force && { force }),
    ...(background && { background }),
    ...(flags.ttl !== undefined && { ttlMs: positive("--ttl", flags.ttl, parseDuration) }),
    ...(image !== undefined && { image }),
    ...(cmd !== undefined && { cmd }),
    ...(network !== undefined && { network }),
    ...(workdir !== undefined && { workdir }),
    ...(user !== undefined && { user }),
    env: { ...terminalEnvironment(context), ...environmentOf(flags, context) },
    ...(flags.label !== undefined && { labels: labels(flags.label) }),
    ...(flags.publish !== undefined && { ports: flags.publish.map(publishedPort) }),
    ...(flags.volume !== undefined && { mounts: flags.volume.map((text) => mount(text, context)) }),
    ...(flags.mount && { projectDir: context.cwd }),
    ...(flags.init !== undefined && { init: flags.init }),
    ...consoleSize(context),
    ...(restore !== undefined && { restore: restoreMode(restore) }),
    pid: Deno.pid,
  };
}

const CREATING = [
  "ttl",
  "image",
  "network",
  "cmd",
  "workdir",
  "user",
  "env",
  "envFile",
  "label",
  "publish",
  "volume",
  "mount",
  "init",
] as const;

/** What was given that says how a session is to be made, and so means nothing to one that exists. */
export function creatingOptions(flags: AttachFlags, command: readonly string[]): string[] {
  const given = CREATING.filter((flag) => flags[flag] !== undefined).map((flag) =>
    flag === "envFile" ? "--env-file" : flags[flag] === false ? `--no-${flag}` : `--${flag}`
  );
  return command.length > 0 ? [...given, "the command"] : given;
}

/**
 * What is wrong with where the words stand, and what to write; undefined when it is all right: one name, and a command only
 * behind `--`. The parser leaves that out of what it gives.
 *
 * @param args the whole command line
 */
export function misplacedWords(
  args: readonly string[],
  { name, command }: Pick<AttachParamsOptions, "name" | "command">,
): string | undefined {
  const marker = args.at(-command.length - 1);
  if (command.length > 0 && marker !== "--") {
    const words = command.filter((word) => word !== "--").join(" ");
    return `the session's command must come after --: apex attach ${name} -- ${words}`;
  }
  const isBehind = command.length === 0 && args.at(-1) === name && args.at(-2) === "--";
  return isBehind ? `the session's NAME must come before --: apex attach NAME -- ${name}` : undefined;
}

function commandOf({ cmd }: AttachFlags, command: readonly string[]): string[] | undefined {
  if (cmd === undefined) return command.length > 0 ? [...command] : undefined;
  if (command.length > 0) {
    throw new ApexError("usage", "--cmd and a command after -- exclude each other");
  }
  return commandWords(cmd);
}

/** What programs draw with is this terminal's; a session that is attached from another one later keeps the first's. */
function terminalEnvironment({ env }: CliContext): Record<string, string> {
  const term = env("TERM");
  return term ? { TERM: term } : {};
}

function restoreMode(text: string): string {
  try {
    parseRestoreMode(text);
    return text;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ApexError("usage", `--restore: ${messageOf(error)}`, { cause: error });
  }
}
