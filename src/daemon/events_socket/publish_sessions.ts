import type { EventLog } from "../../eventlog/event_log.ts";
import { SESSION_EVENT_NAMES, type SessionEvent } from "../../sessions/session.ts";
import type { SessionPool } from "../../sessions/session_pool.ts";
import { toWireEvent } from "../control_socket/wire_form.ts";

/** Appends each event of a session to the log, in the synchronous block of the change. Disposing ends that. */
export function publishSessions({ log, sessions }: { log: EventLog; sessions: SessionPool }): Disposable {
  const subscriptions = SESSION_EVENT_NAMES.map((name) => {
    const append = (event: SessionEvent): void => void log.append(toWireEvent(name, event));
    sessions.on(name, append);
    return () => sessions.off(name, append);
  });
  return {
    [Symbol.dispose]() {
      for (const end of subscriptions.splice(0)) end();
    },
  };
}
