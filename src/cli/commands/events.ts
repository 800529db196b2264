import { type EventStream, openEvents } from "../../client/events.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { EventFlags } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { printWaitingNote, withDaemon } from "../connection/with_daemon.ts";

/**
 * `apex events`. Without flags it copies the events socket to stdout, byte by byte and at once; with any flag it opens a
 * resumable subscription. Starts a daemon if none runs.
 *
 * @returns the exit status: 0 on the daemon's shutdown or at the limit; 128 and the signal's number for a signal
 * @throws {ApexError} `stream_cut` if the stream breaks off; `timeout`; `no_daemon`; `usage`
 * @throws {OutputClosedError} if the reader of stdout has closed it
 */
export async function events(
  context: CliContext,
  { flags }: { readonly flags: EventFlags },
): Promise<number> {
  if (SUBSCRIPTION_FLAGS.some((name) => flags[name] !== undefined)) {
    // Imported here, because it needs the schemas, which the bare stream does not.
    const { subscribedEvents } = await import("./subscribed_events.ts");
    return await subscribedEvents(context, flags);
  }
  const { stream, sockets } = await withDaemon(
    async (sockets) => ({ sockets, stream: await openEvents(sockets.eventsSocket) }),
    { context, flags },
  );
  using _ = stream;
  await printWaitingNote(context, sockets);
  await copy(stream, context, sockets);
  return 0;
}

/** Each of these flags requires a resumable subscription. */
// deno-fmt-ignore
const SUBSCRIPTION_FLAGS = [
  "type", "task", "container", "after", "since", "snapshot", "reconnect", "cursorFile", "limit", "timeout", "seq",
  "failOnGap", "heartbeat",
] as const satisfies readonly (keyof EventFlags)[];

async function copy(stream: EventStream, { stdout }: CliContext, sockets: SocketPaths): Promise<void> {
  while (true) {
    const lines = await stream.next();
    if (lines === "shutdown") return;
    if (lines === "cut") {
      throw new ApexError(
        "stream_cut",
        `the event stream from ${sockets.eventsSocket} broke off: this client was too slow, the daemon was killed, or it ` +
          "has too many subscribers; events may be missing (see: apex status)",
      );
    }
    await stdout.write(lines);
  }
}
