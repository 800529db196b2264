import { assertEquals } from "@std/assert";
import { daemonStatus, versionSkew } from "../../src/client/daemon_status.ts";
import { PROTOCOL_VERSION, VERSION } from "../../src/protocol/version.ts";
import { ScriptedDaemon } from "../support/daemons/scripted_daemon.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("daemonStatus() reads the known parts of another version's status", async () => {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("s"), {
    "status": (connection) =>
      connection.reply({
        version: "9.0.0",
        protocol: 7,
        pid: 42,
        uptimeMs: 5,
        engine: "of another form",
        tasks: { running: 1, pending: 0, more: 3 },
        new: {},
      }),
  });
  const status = await daemonStatus(dir.join("s"));
  assertEquals(status, {
    version: "9.0.0",
    protocol: 7,
    pid: 42,
    uptimeMs: 5,
    tasks: { running: 1, pending: 0 },
  });
  assertEquals(daemon.requests.length, 1);
});

const identities: [version: string, protocol: number, line: string | undefined][] = [
  [VERSION, PROTOCOL_VERSION, undefined],
  [
    "9.0.0",
    PROTOCOL_VERSION,
    `the daemon (pid 42) is apex 9.0.0, this is apex ${VERSION}; restart it with this version: apex restart`,
  ],
  [
    "9.0.0",
    7,
    `the daemon (pid 42) is apex 9.0.0 and speaks control protocol 7, not ${PROTOCOL_VERSION}, this is apex ${VERSION}; ` +
    "restart it with this version: apex restart",
  ],
];

for (const [version, protocol, line] of identities) {
  Deno.test(`versionSkew() of apex ${version} with protocol ${protocol}`, () => {
    assertEquals(versionSkew({ version, protocol, pid: 42 }), line);
  });
}
