import { printable } from "../output/table.ts";

/** Names beyond these would push what was asked for off the screen. */
const MAX_NAMED = 5;

/** What the daemon said of a target. */
export interface ResolvedTarget {
  /** The target that names exactly what is shown: `build-7@2`, or a container's name. */
  readonly target?: string | undefined;
  readonly others?: readonly string[] | undefined;
}

/**
 * One line for people: that a task id has more than what is shown, and how to ask for it. Undefined when there is no more.
 *
 * @param asked the target as the person wrote it
 */
export function otherTargetsNote(
  asked: string,
  { target = "the latest", others = [] }: ResolvedTarget,
): string | undefined {
  if (others.length === 0) return undefined;
  const named = others.slice(0, MAX_NAMED).join(", ") + (others.length > MAX_NAMED ? ", …" : "");
  return printable(`this is ${target}; ${asked} also has: ${named}`);
}
