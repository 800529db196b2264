/**
 * `sink_server.ts EVENTS CONTROL` runs the event log and the events server of apex, with the protocol of
 * `bench/native/sink.c`. A request on the control socket is a u32 N (little endian). 0 requests one byte in return as soon as
 * all earlier connections are registered; any other N requests a burst of N events, which are appended in one block.
 */
import { EventsServer } from "../src/daemon/events_socket/events_server.ts";
import { systemClock } from "../src/platform/clock.ts";
import { silentLogger } from "../src/platform/logger.ts";
import type { WireEvent } from "../src/protocol/wire_event.ts";
import { memoryLog } from "../tests/support/daemons/journaled_log.ts";

const LINE_BYTES = 231;
const FIRST_EXIT_CODE = 100;
const EXIT_CODES = 100;

/** Returns a `container.died` event, whose line has the same length for each `n`. */
function diedEvent(n: number): WireEvent {
  return {
    type: "container.died",
    containerId: "4e2f1a3b5c6d7e8f901234567890abcdef1234567890abcdef1234567890abcd",
    containerName: "apex-task-7f-01",
    image: "busybox",
    timestamp: "2026-01-01T00:00:00.000Z",
    exitCode: FIRST_EXIT_CODE + n % EXIT_CODES,
    oomKilled: false,
  };
}

const encoded = JSON.stringify(diedEvent(0)).length + 1;
if (encoded !== LINE_BYTES) throw new Error(`the bench's lines are ${encoded} bytes long, not ${LINE_BYTES}`);

const [eventsPath, controlPath] = Deno.args as [string, string];
const log = memoryLog({ clock: systemClock });
const server = new EventsServer({
  listener: Deno.listen({ transport: "unix", path: eventsPath }),
  log,
  clock: systemClock,
  logger: silentLogger,
});
const control = Deno.listen({ transport: "unix", path: controlPath });
await Deno.stdout.write(new TextEncoder().encode("ready\n"));
for await (const connection of control) {
  const request = new Uint8Array(4);
  while (await connection.read(request) === request.length) {
    const events = new DataView(request.buffer).getUint32(0, true);
    if (events === 0) {
      await server.barrier();
      await connection.write(new Uint8Array(1));
    }
    for (let n = 0; n < events; n++) log.append(diedEvent(n));
  }
  connection.close();
}
