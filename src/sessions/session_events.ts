/** What a session's event tells in the process; on the wire it has its `type` alone. */
export interface SessionEvent {
  readonly name: string;
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
