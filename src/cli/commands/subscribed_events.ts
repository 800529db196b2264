import { abortable } from "@std/async/abortable";
import type { LineStream } from "../../client/line_stream.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { runAt, systemClock } from "../../platform/clock.ts";
import { resolveSockets } from "../../platform/directories.ts";
import { exitCodeOfSignal } from "../../platform/signals.ts";
import { type EventFlags, eventOptions, warnOfUnknownTypes } from "../args/event_flags.ts";
import type { CliContext } from "../cli_context.ts";
import { printWaitingNote, withDaemon } from "../connection/with_daemon.ts";
import { ResumableEvents } from "./resumable_events.ts";

/**
 * `apex events` with flags. Starts a daemon if none runs; if that is forbidden, `--reconnect` waits for one.
 *
 * @returns the exit status: 0 on the daemon's shutdown or at the limit; 128 and the signal's number for a signal
 * @throws {ApexError} `stream_cut`, `timeout`, `no_daemon`, `usage`
 * @throws {OutputClosedError} if the reader of stdout has closed it
 */
export async function subscribedEvents(context: CliContext, flags: EventFlags): Promise<number> {
  const options = eventOptions(flags, context);
  await warnOfUnknownTypes(flags, context);
  const ending = new AbortController();
  using parts = new DisposableStack();
  if (options.timeoutMs !== undefined) {
    const late = new ApexError("timeout", `timed out after ${options.timeout} (--timeout)`);
    const dueMs = systemClock.now() + options.timeoutMs;
    parts.defer(runAt(dueMs, { clock: systemClock, callback: () => ending.abort(late) }));
  }
  const interrupted = Promise.withResolvers<number>();
  const printer = parts.use(new ResumableEvents(context, { ...options, abort: ending.signal }));
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
      if (!(isMissing && options.reconnect)) throw error;
      return await printer.waitForDaemon(sockets, error);
    }
  };
  const print = async (): Promise<number> => {
    using stream = await open();
    await printWaitingNote(context, sockets);
    await printer.print(stream, sockets);
    return 0;
  };
  // `print` may be blocked in a write to a reader that is paused.
  try {
    return await Promise.race([abortable(print(), ending.signal), interrupted.promise]);
  } finally {
    ending.abort();
    await printer.finish();
  }
}
