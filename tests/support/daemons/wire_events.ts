import type { WireEvent } from "../../../src/protocol/wire_event.ts";

const TIMESTAMP = "2026-01-01T00:00:00.000Z";

/** An event with a text of any length. */
export function eventOf(text: string): WireEvent {
  return { type: "container.operation_failed", operation: "start", timestamp: TIMESTAMP, error: text };
}

/** The line of `event` on `events.socket`. */
export function lineOf(event: WireEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** An event whose line is exactly `bytes` long. */
export function eventOfBytes(bytes: number): WireEvent {
  return eventOf("x".repeat(bytes - lineOf(eventOf("")).length));
}
