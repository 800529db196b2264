/** What a session's event says. On `events.socket` it has its `type` alone, elsewhere these fields, too. */
export interface SessionEvent {
  /** Its name. */
  readonly session: string;
  /** apex's own time of it. */
  readonly timestamp: Date;
}

/** What {@linkcode SessionPool} tells, by name. Inside a listener `list()` already shows what the event says. */
export interface SessionEvents {
  /** Follows its container's `container:started`. */
  "session:created": SessionEvent;
  "session:attached": SessionEvent;
  /** Only when it lives on without a client. */
  "session:detached": SessionEvent;
  /** Follows its container's `container:died` or `container:stopped`. */
  "session:removed": SessionEvent;
}

export type SessionEventName = keyof SessionEvents;

/** Their names, in the order of a session's life. */
export const SESSION_EVENT_NAMES: readonly SessionEventName[] = [
  "session:created",
  "session:attached",
  "session:detached",
  "session:removed",
];
