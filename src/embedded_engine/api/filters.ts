import { HttpError } from "../http/http_error.ts";

/** The values of each filter key; a key that is absent filters nothing. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/**
 * Parses the `filters` parameter: `{"key":["value"]}`, or the docker CLI's older `{"key":{"value":true}}`.
 * @throws {HttpError} 400
 */
export function parseFilters(parameter: string | null): Filters {
  if (parameter === null || parameter === "") return new Map();
  let parsed: unknown;
  try {
    parsed = JSON.parse(parameter);
  } catch (error) {
    throw new HttpError(400, "invalid filter", { cause: error });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new HttpError(400, "invalid filter");
  }
  return new Map(Object.entries(parsed).map(([key, values]) => [key, valuesOf(values)]));
}

function valuesOf(values: unknown): readonly string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === "string")) return values;
  if (typeof values === "object" && values !== null && !Array.isArray(values)) {
    return Object.entries(values).filter(([, wanted]) => wanted === true).map(([value]) => value);
  }
  throw new HttpError(400, "invalid filter");
}

/** Each wanted `key` or `key=value` is among the labels (Docker ANDs them). */
export function matchesLabels(wanted: readonly string[], labels: Readonly<Record<string, string>>): boolean {
  return wanted.every((label) => {
    const equals = label.indexOf("=");
    if (equals < 0) return Object.hasOwn(labels, label);
    const key = label.slice(0, equals);
    return Object.hasOwn(labels, key) && labels[key] === label.slice(equals + 1);
  });
}
