/** The parts that the schemas of request bodies share. They are as lenient as Go's decoder. */
import * as v from "valibot";
import { HttpError } from "../http/http_message.ts";

/** The size of a terminal, in characters; 0 means unknown. */
export interface ConsoleSize {
  readonly rows: number;
  readonly columns: number;
}

/** Go takes `null` for any field, and a string where a list of strings is expected. */
export const words = v.nullish(
  v.union([v.pipe(v.string(), v.transform((word) => [word])), v.array(v.string())]),
);
export const strings = v.nullish(v.array(v.string()));
export const integer = v.nullish(v.pipe(v.number(), v.integer()));
export const flag = v.nullish(v.boolean());
export const text = v.nullish(v.string());
/** `[rows, columns]`. */
export const consoleSize = v.nullish(
  v.pipe(
    v.array(integer),
    v.transform(([rows, columns]): ConsoleSize => ({ rows: rows ?? 0, columns: columns ?? 0 })),
  ),
);
export const UNKNOWN_SIZE: ConsoleSize = { rows: 0, columns: 0 };

/** @throws {HttpError} 400 for a body that does not match the schema, with the name of the field */
export function parseBody<Schema extends v.GenericSchema>(
  schema: Schema,
  body: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, body);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new HttpError(400, `invalid JSON: field ${v.getDotPath(issue) ?? "(the whole)"}: ${issue.message}`);
}

/** As for Go's `omitempty`, an empty list counts as absent. */
export function nonEmpty(list: readonly string[] | null | undefined): readonly string[] | undefined {
  return list === null || list === undefined || list.length === 0 ? undefined : list;
}

/** @throws {HttpError} 400 for a malformed variable */
export function checkVariables(variables: readonly string[] | null | undefined): void {
  const bad = variables?.find((variable) => variable === "" || variable.startsWith("="));
  if (bad !== undefined) throw new HttpError(400, `invalid environment variable: ${bad}`);
}
