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
    `invalid cursor ${JSON.stringify(text)}: expected 16 hex digits, a colon and a number, such as ` +
      "0123456789abcdef:42 for example (apex events --seq shows them)",
  );
}
