/** How each verb uses a daemon: what a daemon on another engine means to it, and which of the shared options act there. */

/**
 * - `changes`: it creates or changes something, so a daemon on another engine than the one that the client names is refused;
 * - `reads`: it warns of such a daemon;
 * - `controls`: it is about the daemon itself, whatever that follows.
 */
export type DaemonUse = "changes" | "reads" | "controls";

/** A verb that is not here connects to no daemon. */
const USES: Readonly<Record<string, DaemonUse>> = {
  "run": "changes",
  "tasks": "reads",
  "wait": "reads",
  "cancel": "changes",
  "logs": "reads",
  "workspaces": "reads",
  "workspaces clean": "changes",
  "attach": "changes",
  "list": "reads",
  "detach": "changes",
  "kill": "changes",
  "events": "reads",
  "history": "reads",
  "ps": "reads",
  "inspect": "reads",
  "status": "controls",
  "stop": "controls",
  "restart": "controls",
};

/** Those that start a daemon when none runs. */
const STARTING = ["run", "attach", "events"];
/** Those that become, or may start, what has a configuration and a log. */
const CONFIGURING = [...STARTING, "daemon", "restart", "engine"];

/** @param verb as it is written behind `apex`: `workspaces clean` */
export function daemonUse(verb: string): DaemonUse | undefined {
  return USES[verb];
}

/** `log`: `--verbose` and `--log-level`. */
export type SharedOption = "socket" | "config" | "engine" | "log" | "daemonize";

/** Whether a shared option acts on a verb; all of them may stand before any verb. */
export function takesOption(verb: string, option: SharedOption): boolean {
  const use = daemonUse(verb);
  const meansEngine = use === "changes" || use === "reads" || verb === "daemon" || verb === "restart";
  switch (option) {
    case "socket":
      return use !== undefined || CONFIGURING.includes(verb);
    // It may name the engine.
    case "config":
      return meansEngine || CONFIGURING.includes(verb);
    case "engine":
      return meansEngine;
    case "log":
      return CONFIGURING.includes(verb);
    case "daemonize":
      return STARTING.includes(verb);
  }
}
