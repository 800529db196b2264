import type { CliContext } from "./cli_context.ts";

/**
 * Says that standard input was not passed on, where a person may have expected that: `echo x | apex run -- cat` prints
 * nothing. As with Docker, input is never read unasked, since it may belong to somebody else (`while read … done < list`), so
 * whether something waits there is not known. Hence only at a terminal: scripts and CI have pipes for many other reasons.
 *
 * @param isSilent the command wrote nothing to standard output
 */
export async function hintAtUnreadInput(
  { stdin, stderr }: Pick<CliContext, "stdin" | "stderr">,
  { isSilent }: { readonly isSilent: boolean },
): Promise<void> {
  if (!isSilent || !stderr.isTerminal || !await stdin.isPiped()) return;
  await stderr.print("apex: standard input was not passed on to the command (apex run -i does that)");
}
