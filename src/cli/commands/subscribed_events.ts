import { abortable } from "@std/async/abortable";
import type { LineStream } from "../../client/line_stream.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { runAt, systemClock } from "../../platform/clock.ts";
import { resolveSockets } from "../../platform/directories.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import { type EventFlags, eventOptions } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { tellOfUnknownTypes } from "../connection/tell_of_unknown_types.ts";
import { tellThatItWaits } from "../connection/tell_that_it_waits.ts";
import { withDaemon } from "../connection/with_daemon.ts";
import { ExtendedEvents } from "./extended_events.ts";

/**
 * `apex events` with flags. When no daemon runs, one is started; where none may be, `reconnect` waits for one.
 *
 * @returns the exit status: 0 when the daemon shut down, or as many came as were asked for; 128 and more for a signal.
 * @throws {ApexError} `stream_cut`, `timeout`, `no_daemon`, `usage`.
 * @throws {OutputClosedError} when the reader of stdout has gone.
 */
export async function subscribedEvents(context: CliContext, flags: EventFlags): Promise<number> {
  const options = eventOptions(flags, context);
  await tellOfUnknownTypes(flags, context);
  const ending = new AbortController();
  using parts = new DisposableStack();
  if (options.timeoutMs !== undefined) {
    const late = new ApexError("timeout", `timed out after ${options.timeout} (--timeout)`);
    const dueMs = systemClock.now() + options.timeoutMs;
    parts.defer(runAt(dueMs, { clock: systemClock, callback: () => ending.abort(late) }));
  }
  const interrupted = Promise.withResolvers<number>();
  const printer = parts.use(new ExtendedEvents({ context, options, signal: ending.signal }));
  if (options.cursorFile !== undefined) {
    for (const name of ["SIGHUP", "SIGINT", "SIGTERM"] as const) {
      parts.defer(context.onSignal(name, () => interrupted.resolve(exitCodeOfSignal(name))));
    }
  }
  const sockets = resolveSockets({ ...context, socket: flags.socket });
  const open = async (): Promise<LineStream> => {
    try {
      return await withDaemon((sockets) => printer.open(sockets), { context, flags });
    } catch (error) {
      const isMissing = error instanceof ApexError && error.code === "no_daemon";
      if (!(isMissing && options.reconnects)) throw error;
      return await printer.waitForDaemon(sockets, error);
    }
  };
  const print = async (): Promise<number> => {
    using stream = await open();
    await tellThatItWaits(context, sockets);
    await printer.print(stream, sockets);
    return 0;
  };
  // Printing may be stuck in a write that nobody takes.
  try {
    return await Promise.race([abortable(print(), ending.signal), interrupted.promise]);
  } finally {
    ending.abort();
    await printer.finish();
  }
}
