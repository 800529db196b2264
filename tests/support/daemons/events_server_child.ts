/**
 * An events server in a process of its own, for tests with a low `ulimit -n`.
 * `events_server_child.ts SOCKET` prints `ready`, its log lines, and `passed` after a barrier; each line on stdin is
 * `barrier`, or the text of an event to append.
 */
import { TextLineStream } from "@std/streams/text-line-stream";
import { EventsServer } from "../../../src/daemon/events_socket/events_server.ts";
import { systemClock } from "../../../src/platform/clock.ts";
import { memoryLog } from "./journaled_log.ts";
import { eventOf } from "./wire_events.ts";

// As in the daemon, before anything listens: the first signal listener and the first stack of a process need
// descriptors, and the runtime panics without them.
const onTerm = (): void => {};
Deno.addSignalListener("SIGTERM", onTerm);
void new Error("warm-up").stack;

const encoder = new TextEncoder();
const stdout = Deno.stdout.writable.getWriter();
const say = (text: string): Promise<void> => stdout.write(encoder.encode(`${text}\n`));

const listener = Deno.listen({ transport: "unix", path: Deno.args[0]! });
await using log = memoryLog({ clock: systemClock });
await using server = new EventsServer({
  listener,
  log,
  clock: systemClock,
  logger: { debug: say, info: say, warn: say, error: say },
});
await say("ready");
for await (
  const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
) {
  if (line !== "barrier") log.append(eventOf(line));
  else await server.barrier().then(() => say("passed"));
}
Deno.removeSignalListener("SIGTERM", onTerm);
