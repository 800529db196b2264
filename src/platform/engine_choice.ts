/** What {@linkcode isEngineChoice} takes, for messages. */
export const ENGINE_CHOICES = "auto, docker, podman, embedded or unix:///path/to.sock";

/** Whether a flag or the configuration may name an engine so. */
export function isEngineChoice(value: string): boolean {
  return ["auto", "docker", "podman", "embedded"].includes(value) || /^unix:\/\/\/./.test(value);
}
