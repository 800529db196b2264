/**
 * One line in plain words for an event line of apex, as `apex demo` shows it below the JSON.
 * @returns undefined for events that need no word
 */
export function explainEvent(event: Readonly<Record<string, unknown>>): string | undefined {
  const who = String(event["taskId"] ?? event["containerName"] ?? "");
  const after = typeof event["runDuration"] === "number" ? ` after ${seconds(event["runDuration"])}` : "";
  switch (event["type"]) {
    case "container.created":
      return `a container for the task "${who}" is there, not running yet`;
    case "container.started":
      return `"${who}" runs`;
    case "container.died":
      return `"${who}" ended${after}: ${cause(event)}`;
    case "container.stopped":
      return `"${who}" was asked to stop, and ended${after} ${
        event["graceful"] === true ? "by itself" : "only by force"
      } with status ${event["exitCode"]}`;
    case "container.removed":
      return `the container of "${who}" is gone`;
    case "container.health":
      return `the health check of "${who}" says: ${event["status"]}`;
    case "engine.connected":
      return "apex follows the engine";
    case "engine.disconnected":
      return "apex has lost the engine, and tries again";
    default:
      return undefined;
  }
}

function cause(event: Readonly<Record<string, unknown>>): string {
  if (event["oomKilled"] === true) return "it was out of memory";
  if (typeof event["signal"] === "string") return `${event["signal"]} ended it (status ${event["exitCode"]})`;
  return event["exitCode"] === 0 ? "all went well (status 0)" : `it failed with status ${event["exitCode"]}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
