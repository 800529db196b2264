import { printable } from "./table.ts";

/** Names beyond these would push what was asked for off the screen. */
const MAX_NAMED = 5;

/**
 * One line for people: that a task id has more than what is shown, and how to ask for it. Undefined when there is no more.
 *
 * @param shown what is shown, as a target: `build-7@2` or a container's name
 */
export function otherTargetsNote(
  { target, shown, others = [] }: {
    readonly target: string;
    readonly shown?: string | undefined;
    readonly others?: readonly string[] | undefined;
  },
): string | undefined {
  if (others.length === 0) return undefined;
  const named = others.slice(0, MAX_NAMED).join(", ") + (others.length > MAX_NAMED ? ", …" : "");
  return printable(`this is ${shown ?? "the latest"}; ${target} also has: ${named}`);
}
