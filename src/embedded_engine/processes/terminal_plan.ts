/**
 * How a command is run at a pseudo-terminal with tools that every Linux has. `script` of util-linux opens a terminal, and
 * runs a constant command there with /bin/sh. That shell first prints its pid and the terminal's path, and waits for a
 * line of input: all later output is the real command's. It then puts the real command together from environment variables,
 * one for each word, and replaces itself with it through `env -i`, so the command has exactly its own environment.
 */
import { HttpError } from "../http/http_message.ts";
import type { ConsoleSize } from "../spec/body_schema.ts";
import { findInPath, type LaunchPlan } from "./launch_plan.ts";

/** Ctrl-D, the only key without an echo. It lets the shell continue; the command reads what is typed after it. */
export const GO_AHEAD: Uint8Array = Uint8Array.of(4);

/** Where `script`, `stty` and `env` are looked for. */
const TOOLS_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/** `script` may have turned the echo off, so `stty` turns it on. The text given to `eval` contains only a counter. */
const COMMAND = [
  'stty echo rows "$APEX_ROWS" cols "$APEX_COLUMNS"',
  'printf "%s %s\\n" "$$" "$(tty)"',
  "read -r line",
  "set --",
  "i=0",
  'while [ "$i" -lt "$APEX_WORDS" ]; do eval "set -- \\"\\$@\\" \\"\\$APEX_WORD_$i\\""; i=$((i + 1)); done',
  'exec env -i -- "$@"',
].join("; ");

/** @throws {HttpError} 501 when this machine has no `script` */
export async function checkTerminals(): Promise<void> {
  if (Deno.build.os === "linux" && await findInPath("script", TOOLS_PATH) !== undefined) return;
  throw new HttpError(
    501,
    "the embedded engine needs the program script to open a terminal: install it (bsdutils, util-linux-misc), " +
      "or use docker or podman (--engine)",
  );
}

/** The refusal of a resize that failed. */
export function cannotResize(): HttpError {
  return new HttpError(500, "cannot set the size of the terminal: stty failed, or could not be run");
}

/** The plan that runs `plan` at a terminal. Unlike in other plans, `program` is a name to be found in PATH. */
export function terminalPlan(plan: LaunchPlan, size: ConsoleSize): LaunchPlan {
  const variables = Object.entries(plan.env).map(([name, value]) => `${name}=${value}`);
  const words = [...variables, ...commandFor(plan)];
  return {
    program: "script",
    args: ["-q", "-e", "-c", COMMAND, "/dev/null"],
    cwd: plan.cwd,
    env: {
      PATH: TOOLS_PATH,
      SHELL: "/bin/sh",
      APEX_ROWS: String(size.rows),
      APEX_COLUMNS: String(size.columns),
      APEX_WORDS: String(words.length),
      ...Object.fromEntries(words.map((word, index) => [`APEX_WORD_${index}`, word])),
    },
  };
}

/** Sets the size of a terminal; the kernel then sends SIGWINCH to its foreground. */
export function resizePlan(device: string, { rows, columns }: ConsoleSize): LaunchPlan {
  return {
    program: "stty",
    args: ["-F", device, "rows", String(rows), "cols", String(columns)],
    cwd: "/",
    env: { PATH: TOOLS_PATH },
  };
}

/** `env` takes a word with an equals sign for a variable, so a program with such a path is started through a shell. */
function commandFor({ program, args }: LaunchPlan): readonly string[] {
  const command = [program, ...args];
  return program.includes("=") ? ["/bin/sh", "-c", 'exec "$@"', "sh", ...command] : command;
}
