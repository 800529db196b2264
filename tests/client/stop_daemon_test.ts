import { assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { stopDaemon } from "../../src/client/stop_daemon.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { isListenedOn } from "../../src/platform/unix_socket.ts";
import { eventually } from "../support/daemons/apex_process.ts";
import { TempDir } from "../support/temp_dir.ts";

const CHILD = fromFileUrl(new URL("../support/daemons/old_daemon_child.ts", import.meta.url));

const others: [name: string, status: string, version: string | undefined][] = [
  ["does not know the operation", `{"version":"0.0.9","protocol":1}`, "0.0.9"],
  ["speaks another protocol", `{"version":"9.0.0","protocol":7,"engine":{"form":"unknown"}}`, "9.0.0"],
  ["refuses even its status", "refuses", undefined],
];

for (const [name, status, version] of others) {
  Deno.test(`stopDaemon() ends a daemon of another version that ${name}`, async () => {
    await using dir = await TempDir.make();
    const controlSocket = dir.join("apex.socket");
    const child = new Deno.Command(Deno.execPath(), { args: ["run", "-A", CHILD, controlSocket, status] })
      .spawn();
    await eventually(() => isListenedOn(controlSocket), "the daemon listens");
    const stopped = await stopDaemon({ sockets: { controlSocket, runtimeDir: dir.path } });
    assertEquals([stopped.pid, stopped.status?.version], [child.pid, version]);
    assertEquals((await child.status).signal, "SIGTERM");
  });
}

Deno.test("stopDaemon() throws no_daemon if no daemon runs, or it was killed", async () => {
  await using dir = await TempDir.make();
  const controlSocket = dir.join("apex.socket");
  const stops = () => stopDaemon({ sockets: { controlSocket, runtimeDir: dir.path } });
  assertEquals((await assertRejects(stops, ApexError)).code, "no_daemon");
  await Deno.writeTextFile(dir.join("apex.lock"), `{"pid":${Deno.pid},"socket":"${controlSocket}"}`);
  assertEquals((await assertRejects(stops, ApexError)).code, "no_daemon");
});
