import { resolve } from "@std/path/posix";
import { ApexError, messageOf } from "../../platform/apex_error.ts";
import type { CliContext } from "../cli_context.ts";

/**
 * The settings in a file for `--env-file`, in Docker's format: one `KEY=VALUE` a line, the value as it is, quotes included;
 * `KEY` alone for its value here. Empty lines and lines that begin with `#` are skipped.
 *
 * @returns settings as `-e` takes them
 * @throws {ApexError} `usage`, naming the file and the line
 */
export function readEnvFile(path: string, { cwd }: Pick<CliContext, "cwd">): string[] {
  const lines = readText(path, cwd).split(/\r?\n/).map((line) => line.trimStart());
  return lines.flatMap((line, index) => {
    if (line === "" || line.startsWith("#")) return [];
    const name = line.split("=", 1)[0]!;
    if (name === "" || /\s/.test(name)) {
      const why = name === "" ? "no name stands before =" : `the name ${JSON.stringify(name)} has a space`;
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
