import type { EngineMessage } from "../containers/event_history.ts";
import { type Filters, matchesLabels } from "./filters.ts";

/** Keys that speak of objects other than containers: set, they leave no container event. */
const OTHER_OBJECTS = [
  "config",
  "daemon",
  "network",
  "node",
  "plugin",
  "secret",
  "service",
  "volume",
] as const;
/** Actions with a value behind a colon; one of them as a bare word makes every `event` filter a prefix, as in Docker. */
const ACTIONS_WITH_VALUE = new Set(["health_status", "exec_create", "exec_start"]);

/** Whether `/events` with these filters shows that message. Keys that Docker does not know are ignored, as it does. */
export function matchesEventFilters(message: EngineMessage, filters: Filters): boolean {
  const { Attributes: attributes, ID: id } = message.Actor;
  const wants = (key: string, matches: (value: string) => boolean) => filters.get(key)?.some(matches) ?? true;
  const actionByPrefix = filters.get("event")?.some((action) => ACTIONS_WITH_VALUE.has(action)) ?? false;
  return wants("type", (type) => type === message.Type) &&
    wants("scope", (scope) => scope === message.scope) &&
    wants(
      "event",
      (action) => actionByPrefix ? message.Action.startsWith(action) : message.Action === action,
    ) &&
    wants("container", (name) => id.startsWith(name) || (attributes["name"] ?? "").startsWith(name)) &&
    wants("image", (image) => [attributes["image"], withoutTag(attributes["image"] ?? "")].includes(image)) &&
    matchesLabels(filters.get("label") ?? [], attributes) &&
    OTHER_OBJECTS.every((key) => (filters.get(key) ?? []).length === 0);
}

function withoutTag(reference: string): string {
  const colon = reference.lastIndexOf(":");
  return colon > reference.lastIndexOf("/") ? reference.slice(0, colon) : reference;
}
