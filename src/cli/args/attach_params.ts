import type { AttachParams } from "../../client/session_attachment.ts";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import { definedFields } from "../../platform/defined_fields.ts";
import { parseDuration } from "../../platform/durations.ts";
import { parseRestoreMode } from "../../protocol/session_operations.ts";
import type { CliContext } from "../cli_context.ts";
import { terminalSize } from "../standard_streams.ts";
import { type ContainerFlags, containerRequestOf, environmentOf } from "./container_flags.ts";
import { positive, type SwitchFlags, type TextFlags } from "./flag_values.ts";

/** The flags of `apex attach`, as written on the command line. */
export interface AttachFlags
  extends
    ContainerFlags,
    TextFlags<"ttl" | "cmd" | "restore" | "detachKeys">,
    SwitchFlags<"force" | "background"> {}

export interface AttachParamsOptions {
  readonly name: string;
  /** The words after `--`. */
  readonly command: readonly string[];
  readonly context: CliContext;
}

/**
 * The parameters with which `apex attach` asks the daemon for a session.
 *
 * @throws {ApexError} `usage`, naming the flag and its value
 */
export function attachParamsOf(
  flags: AttachFlags,
  { name, command, context }: AttachParamsOptions,
): AttachParams {
  const { force, background, ttl } = flags;
  // The escape sequences that repaint a screen are useless in a pipe.
  const restore = flags.restore ?? (context.stdout.isTerminal ? undefined : "none");
  // Programs draw for the terminal that creates the session, even if another one attaches later.
  const term = context.env("TERM");
  return {
    name,
    ...containerRequestOf(flags, context),
    ...definedFields({
      force,
      background,
      ttlMs: ttl === undefined ? undefined : positive("--ttl", ttl, parseDuration),
      cmd: commandOf(flags, command),
      restore: restore === undefined ? undefined : restoreMode(restore),
    }),
    env: { ...(term && { TERM: term }), ...environmentOf(flags, context) },
    ...terminalSize(context.stdout),
    pid: Deno.pid,
  };
}

// deno-fmt-ignore
const CREATION_FLAGS = [
  "ttl", "image", "network", "cmd", "workdir", "user", "env", "envFile", "label", "publish", "volume", "mount", "init",
] as const satisfies readonly (keyof AttachFlags)[];

/** The given options that only take effect when the session is created. */
export function creationOptions(flags: AttachFlags, command: readonly string[]): string[] {
  const given = CREATION_FLAGS.filter((flag) => flags[flag] !== undefined).map((flag) =>
    flag === "envFile" ? "--env-file" : flags[flag] === false ? `--no-${flag}` : `--${flag}`
  );
  return command.length > 0 ? [...given, "the command"] : given;
}

/**
 * Explains which word is in the wrong place; undefined if all are right: one name, and a command only after `--`. The
 * parser does not report where `--` was.
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
  const isAfterMarker = command.length === 0 && args.at(-1) === name && args.at(-2) === "--";
  return isAfterMarker ? `the session's name must come before --: apex attach SESSION -- ${name}` : undefined;
}

function commandOf({ cmd }: AttachFlags, command: readonly string[]): string[] | undefined {
  if (cmd === undefined) return command.length > 0 ? [...command] : undefined;
  if (command.length > 0) {
    throw new ApexError("usage", "--cmd and a command after -- cannot be combined");
  }
  return commandWords(cmd);
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

/** Text in single quotes, text in double quotes, an escaped character, blanks, or any other character. */
const PARTS = /'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|(\s+)|([^])/g;

/**
 * Splits a command line into words as a shell does, with quotes and backslashes, but without expansion:
 * `sh -c 'echo "$HOME"'` is three words.
 *
 * @throws {ApexError} `usage` for an unclosed quote, and for an empty command line
 */
export function commandWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const [, single, double, escaped, blank, plain] of text.matchAll(PARTS)) {
    if (blank !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") +
        (single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? unquoted(plain!, text));
    }
  }
  if (word !== undefined) words.push(word);
  if (words.length > 0) return words;
  throw new ApexError("usage", `--cmd: ${JSON.stringify(text)} is not a command`);
}

function unquoted(character: string, text: string): string {
  if (character !== "'" && character !== '"' && character !== "\\") return character;
  throw new ApexError("usage", `--cmd: ${JSON.stringify(text)} has an unclosed ${character}`);
}
