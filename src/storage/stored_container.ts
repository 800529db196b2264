/** One container as its row holds it: as far as it has been told of. Times are the engine's, ns since the Unix epoch. */
export interface StoredContainer {
  /** The engine's full id. */
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `removed`: remembered for events that may follow. */
  readonly state: string;
  readonly health?: string;
  readonly exitCode?: number;
  readonly createdAtNano?: number;
  readonly startedAtNano?: number;
  readonly finishedAtNano?: number;
  /** Whatever else is needed to go on from here; plain JSON, and its writer's affair. */
  readonly details: unknown;
}
