/**
 * A failure, for people. The daemon's own messages name what they are about; others (a timeout) do not, and get `subject`
 * in front of them.
 */
export function failureText(
  subject: string,
  { target, error }: { readonly target: string; readonly error: Error },
): string {
  return error.message.includes(target) ? error.message : `${subject}: ${error.message}`;
}
