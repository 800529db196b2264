import { integerParameter } from "../api/parameters.ts";
import { HttpError } from "../http/http_error.ts";

/** Of a terminal, in characters; 0 is not known. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Of a request's `ConsoleSize`, `[rows, columns]`, if it has one. */
export function consoleSize(
  field: readonly (number | null | undefined)[] | null | undefined,
): TerminalSize {
  return { rows: field?.[0] ?? 0, columns: field?.[1] ?? 0 };
}

export const CANNOT_RESIZE = "cannot set the terminal's size: stty could not be run, or failed";

/** The kernel keeps it in 16 bits. */
const MAX_CHARACTERS = 65_535;

/** The parameters of a resize. @throws {HttpError} 400 */
export function sizeParameters(query: URLSearchParams): TerminalSize {
  return { rows: sizeParameter(query, "h"), columns: sizeParameter(query, "w") };
}

function sizeParameter(query: URLSearchParams, name: string): number {
  const value = integerParameter(query, { name, badStatus: 400 });
  if (value === undefined) throw new HttpError(400, 'strconv.Atoi: parsing "": invalid syntax');
  if (value < 0 || value > MAX_CHARACTERS) {
    throw new HttpError(400, `a terminal's size is from 0 to ${MAX_CHARACTERS}: ${name}=${value}`);
  }
  return value;
}
