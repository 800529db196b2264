/** Values of settings that flags, environment variables and the configuration file share. */

/** From the most to the fewest messages. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** What {@linkcode isEngineChoice} accepts, for messages. */
export const ENGINE_CHOICES = "auto, docker, podman, embedded or unix:///path/to.sock";

/** Whether `value` is a valid `--engine` or `engine` setting. */
export function isEngineChoice(value: string): boolean {
  return ["auto", "docker", "podman", "embedded"].includes(value) || /^unix:\/\/\/./.test(value);
}
