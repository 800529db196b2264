import { ApexError } from "../platform/apex_error.ts";
import { type Cursor, parseCursor } from "../protocol/cursor.ts";

/**
 * The cursor that a subscriber asks to resume after.
 *
 * @throws {ApexError} `usage` for what is none
 */
export function resumeCursor(text: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor !== undefined) return cursor;
  throw new ApexError(
    "usage",
    `${JSON.stringify(text)} is no cursor: one is an epoch of 16 hex digits, a colon, and a number, ` +
      "0123456789abcdef:42 for example (apex events --seq shows them)",
  );
}
