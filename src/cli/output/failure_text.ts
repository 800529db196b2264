import { printable } from "./table.ts";

/**
 * A failure, for people. The daemon's own messages name what they are about; others (a timeout) do not, and get `subject`
 * in front of them.
 */
export function failureText(
  subject: string,
  { target, error }: { readonly target: string; readonly error: Error },
): string {
  const quoted = JSON.stringify(target).slice(1, -1);
  const isNamed = [target, quoted].some((name) => error.message.includes(name));
  return printable(isNamed ? error.message : `${subject}: ${error.message}`);
}
