/**
 * The best that the runtime allows: `bench/sink_server.ts` without an event log. It writes each line to all connections, in
 * lanes as apex does, and does nothing else. The difference to apex is the cost of apex itself.
 */
import { setImmediate } from "node:timers";

const LINE = new TextEncoder().encode(`${"x".repeat(230)}\n`);
/** As in `src/eventlog/wake_scheduler.ts`. */
const LANE_WIDTH = 128;

const [eventsPath, controlPath] = Deno.args as [string, string];
const events = Deno.listen({ transport: "unix", path: eventsPath });
const connections = new Set<Deno.UnixConn>();
const accepting = (async () => {
  for await (const connection of events) {
    connections.add(connection);
    const drop = () => void (connections.delete(connection) && connection.close());
    // As in apex, a pending read notices that a client has disconnected.
    connection.read(new Uint8Array(32)).then(drop, drop);
  }
})();

async function writeToAll(): Promise<void> {
  let started = 0;
  for (const connection of connections) {
    connection.write(LINE).catch(() => {}); // The pending read reports a disconnected client.
    if (++started % LANE_WIDTH === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

const control = Deno.listen({ transport: "unix", path: controlPath });
await Deno.stdout.write(new TextEncoder().encode("ready\n"));
for await (const connection of control) {
  const request = new Uint8Array(4);
  while (await connection.read(request) === request.length) {
    const lines = new DataView(request.buffer).getUint32(0, true);
    if (lines === 0) {
      // The backlog is first in, first out: after this time, all earlier connections were accepted.
      await new Promise((resolve) => setTimeout(resolve, 200));
      await connection.write(new Uint8Array(1));
    }
    for (let n = 0; n < lines; n++) await writeToAll();
  }
  connection.close();
}
await accepting;
