/** The scenes of `apex demo`: each is one container that ends in a way worth seeing. */

export interface Scene {
  /** The container's task id, and part of its name. */
  readonly taskId: string;
  /** What is about to happen, printed before the scene. */
  readonly title: string;
  /** The script that the container's shell runs. */
  readonly script: string;
  /** What the demo asks of the engine once the container runs. */
  readonly then?: "kill" | "stop";
  /** The health check, a shell command: it runs every 200 ms, and two failures make the container unhealthy. */
  readonly probe?: string;
  /** The event after which the demo removes the container. */
  readonly until: "container.died" | "container.stopped" | "container.health:unhealthy";
}

export const SCENES: readonly Scene[] = [
  {
    taskId: "succeeds",
    title: "A task that succeeds:",
    script: "echo hello; sleep 0.3",
    until: "container.died",
  },
  {
    taskId: "fails",
    title: "A task that exits with status 3:",
    script: "sleep 0.3; exit 3",
    until: "container.died",
  },
  {
    taskId: "is-killed",
    title: "A task that is killed, as with docker kill:",
    script: "sleep 60",
    then: "kill",
    until: "container.died",
  },
  {
    taskId: "is-stopped",
    title: "A service that is stopped, as with docker stop, and shuts down cleanly:",
    script: "trap 'exit 0' TERM; while :; do sleep 0.1; done",
    then: "stop",
    until: "container.stopped",
  },
  {
    taskId: "turns-unhealthy",
    title: "A service that breaks while it runs, which its health check detects:",
    script: "sleep 0.7; touch broken; sleep 60",
    probe: "test ! -e broken",
    until: "container.health:unhealthy",
  },
];

/** The text that `apex demo` prints below an event; undefined for events that need none. */
export function explainEvent(event: Readonly<Record<string, unknown>>): string | undefined {
  const name = `"${event["taskId"] ?? event["containerName"] ?? ""}"`;
  const after = typeof event["runDuration"] === "number" ? ` after ${seconds(event["runDuration"])}` : "";
  switch (event["type"]) {
    case "container.created":
      return `the container of task ${name} was created; it does not run yet`;
    case "container.started":
      return `${name} has started`;
    case "container.died":
      return `${name} ended${after}: ${cause(event)}`;
    case "container.stopped":
      return event["graceful"] === true
        ? `${name} was stopped, and shut down cleanly${after} with status ${event["exitCode"]}`
        : `${name} was stopped, and had to be killed${after} (status ${event["exitCode"]})`;
    case "container.removed":
      return `the container of ${name} was removed`;
    case "container.health":
      return `the health check of ${name} reports: ${event["status"]}`;
    case "engine.connected":
      return "apex is connected to the engine";
    case "engine.disconnected":
      return "apex has lost the engine, and tries to reconnect";
    default:
      return undefined;
  }
}

function cause(event: Readonly<Record<string, unknown>>): string {
  if (event["oomKilled"] === true) return "it ran out of memory";
  if (typeof event["signal"] === "string") {
    return `killed by ${event["signal"]} (status ${event["exitCode"]})`;
  }
  return event["exitCode"] === 0 ? "it succeeded (status 0)" : `it failed with status ${event["exitCode"]}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
