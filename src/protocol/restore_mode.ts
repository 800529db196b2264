/** What of a session's terminal a client gets to see when it attaches. */
import * as v from "valibot";

/**
 * - `screen`: the screen as it stands;
 * - `lines`: the last so many lines, those that had scrolled off the screen included;
 * - `none`: nothing, only what comes from now on.
 */
export type RestoreMode =
  | { readonly kind: "screen" }
  | { readonly kind: "lines"; readonly lines: number }
  | { readonly kind: "none" };

/** More than any scrollback keeps. */
const MAX_LINES = 1_000_000;

/**
 * Reads `screen`, `none` or `lines=200`.
 * @throws {RangeError} for anything else; its message says what is possible
 */
export function parseRestoreMode(text: string): RestoreMode {
  if (text === "screen" || text === "none") return { kind: text };
  const lines = Number(/^lines=(\d{1,7})$/.exec(text)?.[1]);
  if (lines >= 1 && lines <= MAX_LINES) return { kind: "lines", lines };
  throw new RangeError(`invalid restore mode "${text}": use screen, lines=N (N from 1) or none`);
}

/** A restore mode as it crosses the socket: its text, `lines=200`. */
export const restoreModeSchema = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): RestoreMode => {
    try {
      return parseRestoreMode(dataset.value);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      addIssue({ message: error.message });
      return NEVER;
    }
  }),
);
