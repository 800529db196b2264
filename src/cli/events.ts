import { type EventStream, openEvents } from "../client/events.ts";
import { ApexError } from "../platform/apex_error.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { CliContext } from "./cli_context.ts";

/**
 * `apex events`: what comes from the socket goes to stdout as it is, at once. Returns when the daemon shuts down.
 *
 * @throws {ApexError} `stream_cut` when the stream ended before it should; `no_daemon`.
 * @throws {OutputClosedError} when the reader of stdout has gone.
 */
export async function events(
  context: CliContext,
  { sockets }: { readonly sockets: SocketPaths },
): Promise<void> {
  using stream = await openEvents(sockets.eventsSocket);
  if (context.stdout.isTerminal) await tellThatItWaits(context, sockets);
  await copy(stream, context, sockets);
}

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

/** At a terminal, an empty screen would leave a newcomer wondering. */
async function tellThatItWaits({ stderr }: CliContext, sockets: SocketPaths): Promise<void> {
  const { request } = await import("../client/request.ts");
  try {
    const { engine } = await request(sockets.controlSocket, "status");
    const name = engine.kind ? `${engine.kind} ${engine.version ?? ""}`.trimEnd() : "engine";
    const how = engine.state === "connected" ? `following ${name}` : `${name} is ${engine.state}`;
    await stderr.print(`apex: ${how} (${engine.socket}); waiting for events, Ctrl-C ends`);
  } catch (error) {
    // The events are what was asked for; a daemon that does not answer otherwise is no reason to withhold them.
    if (!(error instanceof ApexError)) throw error;
  }
}
