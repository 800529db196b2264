/** A session, as rich as the events that tell of it. */
export interface SessionRecord {
  readonly name: string;
  readonly status: "attached" | "detached";
  readonly image: string;
  readonly containerId: string;
  readonly createdAt: Date;
  readonly lastAttachedAt?: Date;
  /** Of the client that is attached, when it said so. */
  readonly attachedPid?: number;
  /** When its time to live ends. */
  readonly expiresAt?: Date;
}
