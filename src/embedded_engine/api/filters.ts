/** The `filters` parameter of lists and events, and what it selects. */
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import type { EngineMessage } from "../containers/event_history.ts";
import { HttpError } from "../http/http_message.ts";

/** The values of each filter key; a key that is absent filters nothing. */
export type Filters = ReadonlyMap<string, readonly string[]>;

const CONTAINER_FILTERS = ["ancestor", "exited", "health", "id", "label", "name", "status"] as const;
const STATUSES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
/** Keys for objects other than containers: with one of them, no container event is shown. */
const OTHER_OBJECTS = ["config", "daemon", "network", "node", "plugin", "secret", "service", "volume"];
/** Actions with a value behind a colon. As in Docker, the bare word of one turns all `event` filters into prefixes. */
const ACTIONS_WITH_VALUE = new Set(["health_status", "exec_create", "exec_start"]);

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

/** @throws {HttpError} 400 with Docker's message, for a key that this engine does not support or an unknown status */
export function checkContainerFilters(filters: Filters): void {
  for (const key of filters.keys()) {
    if (!CONTAINER_FILTERS.some((known) => known === key)) {
      throw new HttpError(400, `Invalid filter '${key}'`);
    }
  }
  for (const status of filters.get("status") ?? []) {
    if (!STATUSES.includes(status)) throw new HttpError(400, `Invalid filter 'status=${status}'`);
  }
}

/**
 * Whether `GET /containers/json` with these filters shows the container. Values of one key are alternatives, except that
 * all labels must match. `name` and `id` are regular expressions, as in Docker.
 */
export function matchesContainerFilters(container: EmbeddedContainer, filters: Filters): boolean {
  const { id, name, spec, state } = container;
  const matches = (key: (typeof CONTAINER_FILTERS)[number], isMatch: (value: string) => boolean) =>
    filters.get(key)?.some(isMatch) ?? true;
  return matches("id", (pattern) => matchesPattern(pattern, [id])) &&
    matches("name", (pattern) => matchesPattern(pattern, [name, `/${name}`])) &&
    matches("status", (status) => status === state.status) &&
    matches("health", (health) => health === (state.health?.status ?? "none")) &&
    matches("ancestor", (image) => [spec.image, withoutTag(spec.image)].includes(image)) &&
    matches("exited", (code) => state.status === "exited" && code === String(state.exitCode)) &&
    matchesLabels(filters.get("label") ?? [], spec.labels);
}

/** Whether `/events` with these filters shows the message. As in Docker, unknown keys are ignored. */
export function matchesEventFilters(message: EngineMessage, filters: Filters): boolean {
  const { Attributes: attributes, ID: id } = message.Actor;
  const { image = "", name = "" } = attributes;
  const matches = (key: string, isMatch: (value: string) => boolean) =>
    filters.get(key)?.some(isMatch) ?? true;
  const actionByPrefix = filters.get("event")?.some((action) => ACTIONS_WITH_VALUE.has(action)) ?? false;
  return matches("type", (type) => type === message.Type) &&
    matches("scope", (scope) => scope === message.scope) &&
    matches(
      "event",
      (action) => actionByPrefix ? message.Action.startsWith(action) : message.Action === action,
    ) &&
    matches("container", (prefix) => id.startsWith(prefix) || name.startsWith(prefix)) &&
    matches("image", (reference) => [image, withoutTag(image)].includes(reference)) &&
    matchesLabels(filters.get("label") ?? [], attributes) &&
    OTHER_OBJECTS.every((key) => (filters.get(key) ?? []).length === 0);
}

function valuesOf(values: unknown): readonly string[] {
  if (Array.isArray(values) && values.every((value) => typeof value === "string")) return values;
  if (typeof values === "object" && values !== null && !Array.isArray(values)) {
    return Object.entries(values).filter(([, wanted]) => wanted === true).map(([value]) => value);
  }
  throw new HttpError(400, "invalid filter");
}

/** Whether each wanted `key` or `key=value` is among the labels; in Docker, too, all of them must be. */
export function matchesLabels(wanted: readonly string[], labels: Readonly<Record<string, string>>): boolean {
  return wanted.every((label) => {
    const equals = label.indexOf("=");
    if (equals < 0) return Object.hasOwn(labels, label);
    const key = label.slice(0, equals);
    return Object.hasOwn(labels, key) && labels[key] === label.slice(equals + 1);
  });
}

function matchesPattern(pattern: string, values: readonly string[]): boolean {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return values.includes(pattern); // As in Docker, a malformed expression is compared literally.
  }
  return values.some((value) => expression.test(value));
}

function withoutTag(reference: string): string {
  const colon = reference.lastIndexOf(":");
  return colon > reference.lastIndexOf("/") ? reference.slice(0, colon) : reference;
}
