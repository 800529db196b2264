/**
 * How a command is run at a pseudo-terminal with what every Linux has: `script` of util-linux opens one and runs its
 * command with /bin/sh. That command is a constant. The real one comes to it word by word in the environment, is put
 * together as positional parameters, and takes the shell's place through `env -i`, with exactly its own environment.
 * Before that the shell says on the terminal which process it is and at which terminal, and waits to be let go: all that
 * comes after is the command's.
 */
import { HttpError } from "../http/http_error.ts";
import { findInPath, type LaunchPlan } from "../processes/launch_plan.ts";
import type { TerminalSize } from "./terminal_size.ts";

/** The end of the file, typed: it is the only key that has no echo, and what is typed behind it waits for the command. */
export const GO_AHEAD: Uint8Array = Uint8Array.of(4);

/** Where `script`, `stty` and `env` are. */
const TOOLS_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/** `script` may have switched the echo off. `eval` sees nothing but a counter. */
const COMMAND = [
  'stty echo rows "$APEX_ROWS" cols "$APEX_COLUMNS"',
  'printf "%s %s\\n" "$$" "$(tty)"',
  "read -r line",
  "set --",
  "i=0",
  'while [ "$i" -lt "$APEX_WORDS" ]; do eval "set -- \\"\\$@\\" \\"\\$APEX_WORD_$i\\""; i=$((i + 1)); done',
  'exec env -i -- "$@"',
].join("; ");

/** @throws {HttpError} 501 where this machine has no `script` */
export async function checkTerminals(): Promise<void> {
  if (Deno.build.os === "linux" && await findInPath("script", TOOLS_PATH) !== undefined) return;
  throw new HttpError(
    501,
    "the embedded engine opens terminals with the program script, which is not here: install it (bsdutils, " +
      "util-linux-misc), or use docker or podman (--engine)",
  );
}

/** As {@linkcode LaunchPlan}; `program` is to be found in its PATH. */
export function terminalPlan(plan: LaunchPlan, size: TerminalSize): LaunchPlan {
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

/** What sets a terminal's size; the kernel tells the program at it (SIGWINCH). */
export function resizePlan(device: string, { rows, columns }: TerminalSize): LaunchPlan {
  return {
    program: "stty",
    args: ["-F", device, "rows", String(rows), "cols", String(columns)],
    cwd: "/",
    env: { PATH: TOOLS_PATH },
  };
}

/** `env` takes a word with an equals sign for a variable, so such a program is started through a shell. */
function commandFor({ program, args }: LaunchPlan): readonly string[] {
  const command = [program, ...args];
  return program.includes("=") ? ["/bin/sh", "-c", 'exec "$@"', "sh", ...command] : command;
}
