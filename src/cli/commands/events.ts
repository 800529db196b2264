import { type EventStream, openEvents } from "../../client/events.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { EventFlags } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { tellThatItWaits } from "../connection/tell_that_it_waits.ts";
import { withDaemon } from "../connection/with_daemon.ts";

export interface EventsOptions {
  readonly flags: EventFlags;
}

/**
 * `apex events`. Without flags what comes from the events socket goes to stdout as it is, at once; with any, it is an
 * extended subscription. When no daemon runs, one is started.
 *
 * @returns the exit status: 0 when the daemon shut down, or as many came as were asked for; 128 and more for a signal.
 * @throws {ApexError} `stream_cut` when the stream ended before it should; `timeout`; `no_daemon`; `usage`.
 * @throws {OutputClosedError} when the reader of stdout has gone.
 */
export async function events(context: CliContext, { flags }: EventsOptions): Promise<number> {
  if (SUBSCRIPTION_FLAGS.some((name) => flags[name] !== undefined)) {
    const { subscribedEvents } = await import("./subscribed_events.ts");
    return await subscribedEvents(context, flags);
  }
  const { stream, sockets } = await withDaemon(
    async (sockets) => ({ sockets, stream: await openEvents(sockets.eventsSocket) }),
    { context, flags },
  );
  using _ = stream;
  await tellThatItWaits(context, sockets);
  await copy(stream, context, sockets);
  return 0;
}

/** With any of these the bare stream is not enough. */
const SUBSCRIPTION_FLAGS = [
  "type",
  "task",
  "container",
  "after",
  "since",
  "snapshot",
  "reconnect",
  "cursorFile",
  "limit",
  "timeout",
  "seq",
  "failOnGap",
  "heartbeat",
] as const satisfies readonly (keyof EventFlags)[];

async function copy(stream: EventStream, { stdout }: CliContext, sockets: SocketPaths): Promise<void> {
  while (true) {
    const lines = await stream.next();
    if (lines === "shutdown") return;
    if (lines === "cut") {
      throw new ApexError(
        "stream_cut",
        `the event stream from ${sockets.eventsSocket} broke off: this reader was too slow, the daemon was killed, ` +
          `or it has too many subscribers (see: apex status); events may have been missed`,
      );
    }
    await stdout.write(lines);
  }
}
