/** One object of the engine's `/events`, reduced to the fields that every engine and version has. */
export interface EngineEvent {
  /** `container`, `image`, `network` … */
  readonly type: string;
  /** As the engine says it: `die`, `health_status: healthy`, Podman's `remove` … */
  readonly action: string;
  /** The container's full id. */
  readonly id: string;
  /** One flat map; a label may overwrite an attribute of the same name (engine-notes in EVENTS.md). */
  readonly attributes: Readonly<Record<string, string>>;
  /** Nanoseconds since the Unix epoch, as near as a double holds them (256 ns). */
  readonly timeNano: number;
  /** Podman's top-level `HealthStatus`. */
  readonly healthStatus?: string;
}
