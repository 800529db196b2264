/** Sessions on Docker beside a session that floods its client, and a client that does not read. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { SessionBed } from "../support/sessions/session_bed.ts";
import type { TestClient } from "../support/sessions/test_client.ts";

Deno.test({
  name: "a flood in one session, and a client that does not read, do not block other sessions",
  ignore: !await dockerAvailable(),
  async fn(t) {
    await using docker = await startDocker();
    await using bed = await SessionBed.open({ socketPath: docker.socketPath });
    await using stalled = await bed.attach({ name: "stalled" });
    await using flooded = await bed.attach({ name: "flooded" });
    await using quiet = await bed.attach({ name: "quiet" });
    // A client that sends nothing for ten seconds is dropped, and on a busy machine the test takes longer.
    using _alive = pingEachSecond([flooded, quiet]);
    stalled.stall();
    stalled.type(
      "while true; do echo $((1 + 1))aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done\n",
    );
    flooded.type("busybox yes $((2 + 2))bbbbbbbbbbbbbbbb\n");
    await flooded.untilOutput("4bbbb");

    await t.step("other sessions answer", async () => {
      for (let times = 0; times < 20; times++) {
        quiet.type(`echo $((1000 + ${times}))\n`);
        await quiet.untilOutput(`${1_000 + times}\r\n`);
      }
      assertEquals(bed.pool.list().length, 3);
    });

    await t.step("the client that does not read is dropped, and its session continues", async () => {
      await bed.until("session:detached stalled");
      stalled.vanish();
      await using again = await bed.attach({ name: "stalled" });
      again.type("\x03");
      await again.untilOutput("/ #");
      again.type("echo al$((9))ive\n");
      await again.untilOutput("al9ive");
    });

    await t.step("a client that reads gets the whole flood", async () => {
      await using other = await bed.attach({ name: "counted", cmd: ["sh"] });
      other.type("busybox seq 1 400000; echo do$((0))ne\n");
      await other.untilOutput("do0ne");
      const numbers = other.output.split("\r\n").filter((line) => /^\d+$/.test(line)).map(Number);
      assertEquals(numbers.length, 400_000);
      assert(numbers.every((number, index) => number === index + 1));
    });

    await t.step("a session that floods can be killed at once, whether its client reads or not", async () => {
      await using stuck = await bed.attach({ name: "stuck" });
      stuck.stall();
      stuck.type("busybox yes\n");
      const beginMs = Date.now();
      await Promise.all([bed.pool.kill("flooded"), bed.pool.kill("stuck")]);
      assertLess(Date.now() - beginMs, 8_000);
      assertEquals((await flooded.untilLast()).value.reason, "killed");
      stuck.vanish();
    });
    for (const { name } of bed.pool.list()) await bed.pool.kill(name);
  },
});

function pingEachSecond(clients: readonly TestClient[]): Disposable {
  const pings = setInterval(() => clients.forEach((client) => client.sendFrame("ping")), 1_000);
  return { [Symbol.dispose]: () => clearInterval(pings) };
}
