import { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { EventLog, type EventLogOptions } from "../../../src/eventlog/event_log.ts";
import { silentLogger } from "../../../src/platform/logger.ts";
import type { WireEvent } from "../../../src/protocol/wire_event.ts";
import type { EventJournal, JournalOptions } from "../../../src/storage/journal/event_journal.ts";
import { history, type HistoryOptions, isEvent } from "../../../src/storage/journal/history.ts";
import { IN_MEMORY } from "../../../src/storage/sqlite_connection.ts";
import { openStorage, type Storage } from "../../../src/storage/storage.ts";
import { FakeClock } from "../fake_clock.ts";

const TIMESTAMP = "2026-01-01T00:00:00.000Z";

export interface JournaledLogOptions extends JournalOptions {
  readonly clock?: FakeClock;
  readonly log?: Partial<EventLogOptions>;
}

/** An event log with its journal, as one run of the daemon has them. */
export class JournaledLog implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly storage: Storage;
  readonly journal: EventJournal;
  readonly log: EventLog;

  constructor(path: string, { clock = new FakeClock(), log, ...journal }: JournaledLogOptions = {}) {
    this.clock = clock;
    const logger = {
      ...silentLogger,
      error: (message: string) => void this.errors.push(message),
      warn: (message: string) => void this.warnings.push(message),
    };
    this.storage = openStorage({ path, clock, logger });
    this.journal = this.storage.openJournal(journal);
    this.log = new EventLog({ clock, logger, journal: this.journal, ...log });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.log.close(0);
    this.storage[Symbol.dispose]();
  }
}

/** An event log without events on disk, as with `--no-journal`. */
export function memoryLog(options: Omit<EventLogOptions, "journal">): EventLog {
  const storage = openStorage({ path: IN_MEMORY, logger: silentLogger, ...options });
  return new EventLog({ journal: storage.openJournal(), ...options });
}

/** Another process in the middle of a write: every other write is refused. */
export function holdLock(path: string): Disposable {
  const database = new DatabaseSync(path);
  database.exec("BEGIN IMMEDIATE");
  return { [Symbol.dispose]: () => database.close() };
}

/** Changes the file as another program, or a flipped bit, does. */
export function withRaw(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

/** The past as text: `4` for an event, `5-7` for a gap. */
export async function pastOf(journal: EventJournal, options: HistoryOptions = {}): Promise<string[]> {
  const past: string[] = [];
  for await (const each of history(journal, options)) {
    past.push(isEvent(each) ? String(each.seq) : `${each.first}-${each.last}`);
  }
  return past;
}

/**
 * Copies what is on the disk as if the daemon was killed now. The next run opens the copy. Synchronous, so that nothing is
 * committed in the meantime.
 */
export function killedAt(from: string, to: string): string {
  for (const suffix of ["", "-wal", "-journaled"]) {
    try {
      Deno.copyFileSync(from + suffix, to + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return to;
}

/** Resolves after microtasks, commits, wakes, and writes to free buffers are done. */
export async function settled(turns = 3): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}

/** An event of a task. */
export function taskEvent(taskId: string): WireEvent {
  return { type: "task.started", taskId, timestamp: TIMESTAMP, containerId: `${taskId}-container` };
}

export function containerEvent(containerName: string, containerId: string): WireEvent {
  return { type: "container.started", containerId, containerName, image: "img", timestamp: TIMESTAMP };
}
