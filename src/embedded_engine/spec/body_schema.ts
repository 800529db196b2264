/** The pieces of request bodies' schemas, lenient as Go's decoder is, and how a mismatch is told. */
import * as v from "valibot";
import { HttpError } from "../http/http_error.ts";

/** Go takes `null` for any field, and a string where a list of strings may stand. */
export const words = v.nullish(
  v.union([v.pipe(v.string(), v.transform((word) => [word])), v.array(v.string())]),
);
export const strings = v.nullish(v.array(v.string()));
export const integer = v.nullish(v.pipe(v.number(), v.integer()));
export const flag = v.nullish(v.boolean());
export const text = v.nullish(v.string());

/** @throws {HttpError} 400 for a body that the schema does not take, naming the field */
export function parseBody<Schema extends v.GenericSchema>(
  schema: Schema,
  body: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, body);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new HttpError(400, `invalid JSON: field ${v.getDotPath(issue) ?? "(the whole)"}: ${issue.message}`);
}

/** Go's `omitempty`: an empty list is none. */
export function nonEmpty(list: readonly string[] | null | undefined): readonly string[] | undefined {
  return list === null || list === undefined || list.length === 0 ? undefined : list;
}
