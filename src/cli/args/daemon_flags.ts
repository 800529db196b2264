import type { Paths } from "../../platform/directories.ts";
import type { LogLevel } from "../../platform/setting_values.ts";

/** What of the command line a daemon is found by, and started with. */
export interface DaemonFlags {
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
  readonly verbose?: true | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly engine?: string | undefined;
  /** False: events are not kept on disk. */
  readonly journal?: boolean | undefined;
  /** Absent: as the configuration has it. */
  readonly daemonize?: boolean | undefined;
}

/**
 * The options with which `apex daemon` is started as these flags say. It works in another directory, so paths are absolute.
 * What came from the environment it finds there as well.
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
