import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import { HttpError } from "../http/http_error.ts";
import { type Filters, matchesLabels } from "./filters.ts";

const KNOWN_FILTERS = ["ancestor", "exited", "health", "id", "label", "name", "status"] as const;
const STATUSES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"] as const;

/**
 * Whether `GET /containers/json` with these filters shows that container; values of one key are alternatives, but
 * labels must all be there. `name` and `id` are regular expressions, as in Docker.
 */
export function matchesContainerFilters(container: EmbeddedContainer, filters: Filters): boolean {
  const { id, name, spec, state } = container;
  const wants = (key: (typeof KNOWN_FILTERS)[number], matches: (value: string) => boolean) =>
    filters.get(key)?.some(matches) ?? true;
  return wants("id", (pattern) => matchesPattern(pattern, [id])) &&
    wants("name", (pattern) => matchesPattern(pattern, [name, `/${name}`])) &&
    wants("status", (status) => status === state.status) &&
    wants("health", (health) => health === (state.health?.status ?? "none")) &&
    wants("ancestor", (image) => image === spec.image || image === spec.image.replace(/:[^:/]*$/, "")) &&
    wants("exited", (code) => state.status === "exited" && code === String(state.exitCode)) &&
    matchesLabels(filters.get("label") ?? [], spec.labels);
}

/** @throws {HttpError} 400 with Docker's words, for a key that the embedded engine has not or a status that is none */
export function checkContainerFilters(filters: Filters): void {
  for (const key of filters.keys()) {
    if (!KNOWN_FILTERS.some((known) => known === key)) throw new HttpError(400, `Invalid filter '${key}'`);
  }
  for (const status of filters.get("status") ?? []) {
    if (!STATUSES.some((known) => known === status)) {
      throw new HttpError(400, `Invalid filter 'status=${status}'`);
    }
  }
}

function matchesPattern(pattern: string, values: readonly string[]): boolean {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return values.includes(pattern); // As Docker: what is no expression is taken literally.
  }
  return values.some((value) => expression.test(value));
}
