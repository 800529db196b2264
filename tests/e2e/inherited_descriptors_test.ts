/** The daemon and the engine that a client starts inherit no file descriptors from the client. */
import { assert, assertEquals } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import { readLockHolder } from "../../src/embedded_engine/engine_lock.ts";
import { ApexHome, hasEnded } from "../support/daemons/apex_process.ts";
import { within } from "../support/within.ts";

/** Runs a task with inherited descriptors; the client starts a daemon, which starts the embedded engine. */
async function runWith(home: ApexHome, opening: string): Promise<void> {
  await using client = home.spawn(["run", "--engine", "embedded", "--network", "none", "--", "true"], {
    wrap: ["bash", "-c", `${opening}; exec "$@"`, "bash"],
  });
  const { code, stderr } = await client.finished();
  assertEquals(code, 0, stderr);
  const { pid } = await request(home.controlSocket, "status", {});
  const engine = await readLockHolder(`${home.dir}/state/engine/lock`);
  assert(engine !== undefined);
  assert(!await hasEnded(pid) && !await hasEnded(engine.pid), "daemon and engine must outlive the client");
}

for (const fd of [3, 9, 57, 200]) {
  Deno.test(`a daemon and an engine started by a client do not keep its pipe at descriptor ${fd} open`, async () => {
    await using home = await ApexHome.create();
    const pipe = `${home.dir}/pipe`;
    assert((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
    const reader = new Deno.Command("cat", { args: [pipe], stdout: "piped" }).spawn();
    await runWith(home, `exec ${fd}>'${pipe}'; echo inherited >&${fd}`);
    const { stdout } = await within(20_000, "the end of the pipe", reader.output());
    assertEquals(new TextDecoder().decode(stdout), "inherited\n");
  });

  Deno.test(`a daemon and an engine started by a client do not keep its lock at descriptor ${fd}`, async () => {
    await using home = await ApexHome.create();
    const lock = `${home.dir}/lock`;
    await runWith(home, `exec ${fd}>'${lock}'; flock -n ${fd}`);
    const again = await new Deno.Command("flock", { args: ["-n", lock, "true"] }).output();
    assert(again.success, "the lock is still taken");
  });
}
