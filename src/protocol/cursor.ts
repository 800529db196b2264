/** A position in the event log, written `<epoch>:<seq>`: after the event with that number, in the log of that epoch. */
export interface Cursor {
  /** 16 hex digits. */
  readonly epoch: string;
  /** 0: before the first event. */
  readonly seq: number;
}

/** Undefined for what is no cursor. */
export function parseCursor(text: string): Cursor | undefined {
  const match = /^([0-9a-f]{16}):(\d{1,16})$/.exec(text);
  if (match === null) return undefined;
  const seq = Number(match[2]);
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined;
}

export function formatCursor({ epoch, seq }: Cursor): string {
  return `${epoch}:${seq}`;
}
