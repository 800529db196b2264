import type { EventLog } from "../eventlog/event_log.ts";
import { SESSION_EVENT_NAMES } from "../sessions/session_events.ts";
import type { SessionPool } from "../sessions/session_pool.ts";

/**
 * Appends each event of a session to the log, in the synchronous block in which it is told: its type alone, because
 * `sessions.list` tells the rest. Disposing ends that.
 */
export function publishSessions({ log, sessions }: { log: EventLog; sessions: SessionPool }): Disposable {
  const subscriptions = SESSION_EVENT_NAMES.map((name) => {
    const [, change] = name.split(":") as ["session", "created" | "attached" | "detached" | "removed"];
    const append = (): void => void log.append({ type: `session.${change}` });
    sessions.on(name, append);
    return () => sessions.off(name, append);
  });
  return {
    [Symbol.dispose]() {
      for (const end of subscriptions.splice(0)) end();
    },
  };
}
