import type { EventFacts } from "./event_filter.ts";

/** One line of the event log, as it goes into the journal. */
export interface JournalLine {
  readonly seq: number;
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  /** The whole event with its newline. */
  readonly bytes: Uint8Array;
}

const NAME_FIELD = '"containerName":';
const decoder = new TextDecoder();

/** One event of the journal. */
export class StoredEvent implements EventFacts {
  readonly seq: number;
  /** When it was published, in milliseconds since the Unix epoch; never less than that of the event before. */
  readonly timeMs: number;
  readonly type: string;
  readonly taskId: string | undefined;
  readonly containerId: string | undefined;
  /** The whole event without a newline; of a session's, an earlier version wrote the type alone. */
  readonly line: Uint8Array;

  constructor(fields: Omit<StoredEvent, "containerName">) {
    this.seq = fields.seq;
    this.timeMs = fields.timeMs;
    this.type = fields.type;
    this.taskId = fields.taskId;
    this.containerId = fields.containerId;
    this.line = fields.line;
  }

  /** Looked up in the line: it has no column, because nearly nobody asks. */
  get containerName(): string | undefined {
    const text = decoder.decode(this.line);
    if (!text.includes(NAME_FIELD)) return undefined;
    const containerName = nameIn(text);
    return typeof containerName === "string" ? containerName : undefined;
  }
}

function nameIn(text: string): unknown {
  try {
    return JSON.parse(text).containerName;
  } catch (error) {
    // Damage within the line, which nobody has looked for: it names no container.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
