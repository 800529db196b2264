/** The flags by which a daemon is found and started, and the verbs that take them. */
import type { Paths } from "../../platform/directories.ts";
import type { LogLevel } from "../../platform/setting_values.ts";

export interface DaemonFlags {
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
  readonly verbose?: true | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly engine?: string | undefined;
  /** False: keep no events on disk. */
  readonly journal?: boolean | undefined;
  /** Whether to start a daemon if none runs; undefined: as configured. */
  readonly daemonize?: boolean | undefined;
}

/**
 * The options for `apex daemon` that correspond to these flags. Paths are absolute, because the daemon runs in another
 * directory. It inherits the environment, so the settings that come from there are left out.
 */
export function daemonArguments(
  flags: DaemonFlags,
  paths: Pick<Paths, "controlSocket" | "configFile">,
): string[] {
  const logLevel = flags.verbose ? "debug" : flags.logLevel;
  return [
    ...(flags.socket === undefined ? [] : ["--socket", paths.controlSocket]),
    ...(flags.config === undefined ? [] : ["--config", paths.configFile]),
    ...(logLevel === undefined ? [] : ["--log-level", logLevel]),
    ...(flags.engine === undefined ? [] : ["--engine", flags.engine]),
    ...(flags.journal === false ? ["--no-journal"] : []),
  ];
}

/**
 * How a verb uses the daemon:
 * - `changes`: it creates or changes something, so it refuses a daemon on another engine than the one that the client names;
 * - `reads`: it warns about such a daemon;
 * - `controls`: it concerns the daemon itself, whatever engine that follows.
 */
export type DaemonUse = "changes" | "reads" | "controls";

/** Verbs that are missing here connect to no daemon. */
const USES: readonly (readonly [DaemonUse, readonly string[]])[] = [
  ["changes", ["run", "cancel", "workspaces clean", "attach", "detach", "kill"]],
  ["reads", ["tasks", "wait", "logs", "workspaces", "list", "events", "history", "ps", "inspect"]],
  ["controls", ["status", "stop", "restart"]],
];

/** The verbs that start a daemon if none runs. */
const STARTING = ["run", "attach", "events"];
/** The verbs that run, or may start, a process with a configuration and a log. */
const CONFIGURING = [...STARTING, "daemon", "restart", "engine"];

/** @param verb its words after `apex`, such as `workspaces clean` */
export function daemonUse(verb: string): DaemonUse | undefined {
  return USES.find(([, verbs]) => verbs.includes(verb))?.[0];
}

/** `log`: `--verbose` and `--log-level`. `daemonize`: `--daemonize` and `--no-daemonize`. */
export type SharedOption = "socket" | "config" | "engine" | "log" | "daemonize";

/** Whether a shared option has an effect on a verb. All shared options may precede any verb. */
export function takesOption(verb: string, option: SharedOption): boolean {
  const use = daemonUse(verb);
  const dependsOnEngine = use === "changes" || use === "reads" || verb === "daemon" || verb === "restart";
  switch (option) {
    case "socket":
      return use !== undefined || CONFIGURING.includes(verb);
    case "config":
      // The configuration may name the engine.
      return dependsOnEngine || CONFIGURING.includes(verb);
    case "engine":
      return dependsOnEngine;
    case "log":
      return CONFIGURING.includes(verb);
    case "daemonize":
      return STARTING.includes(verb);
  }
}
