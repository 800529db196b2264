/**
 * Accepts connections until its listener is closed. Running out of descriptors is no reason to stop: the loop backs off
 * and goes on as soon as one is free.
 */
import { delay } from "@std/async/delay";
import { messageOf } from "./apex_error.ts";
import type { Logger } from "./logger.ts";

export interface AcceptLoopOptions {
  readonly listener: Deno.UnixListener;
  /** Called once a connection, in the order of the listener's backlog, before the next is accepted. */
  readonly onConnection: (conn: Deno.UnixConn) => void;
  readonly logger: Logger;
}

/** `accept` fails at once while descriptors are out; without a pause the loop would spin. */
const BACK_OFF_MS = 50;

/** Runs until the listener is closed; never rejects. */
export async function acceptLoop({ listener, onConnection, logger }: AcceptLoopOptions): Promise<void> {
  let failing = false;
  while (true) {
    try {
      onConnection(await listener.accept());
      failing = false;
    } catch (error) {
      if (isListenerClosed(error)) return;
      if (!failing) logger.warn(`cannot accept connections for now: ${messageOf(error)}`);
      failing = true;
      await delay(BACK_OFF_MS);
    }
  }
}

/** `Interrupted` when the listener is closed under a pending accept, `BadResource` when it was closed before. */
function isListenerClosed(error: unknown): boolean {
  return error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.BadResource;
}
