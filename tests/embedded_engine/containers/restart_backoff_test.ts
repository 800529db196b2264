import { assertEquals } from "@std/assert";
import { RestartBackoff } from "../../../src/embedded_engine/containers/restart_backoff.ts";
import { type RecordedEvent, TestEngine } from "../../support/engines/embedded_engine.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const ALWAYS = { name: "always", maximumRetryCount: 0 } as const;

Deno.test("RestartBackoff doubles its delay up to a minute, and starts over after a run of ten seconds", () => {
  const backoff = new RestartBackoff(ALWAYS, new FakeClock());
  const delays = Array.from({ length: 12 }, () => backoff.delayAfter({ exitCode: 0, ranMs: 9_999 }));
  assertEquals(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
  assertEquals(backoff.delayAfter({ exitCode: 0, ranMs: 10_000 }), 100);
  backoff.delayAfter({ exitCode: 0, ranMs: 0 });
  backoff.reset();
  assertEquals(backoff.delayAfter({ exitCode: 0, ranMs: 0 }), 100);
});

const POLICIES = [
  ["no", 0, 1, 0, false],
  ["always", 0, 0, 1_000, true],
  ["unless-stopped", 0, 0, 1_000, true],
  ["on-failure", 0, 0, 0, false],
  ["on-failure", 0, 1, 1_000, true],
  ["on-failure", 3, 1, 2, true],
  ["on-failure", 3, 1, 3, false],
] as const;

for (const [name, maximumRetryCount, exitCode, restarts, isRestarted] of POLICIES) {
  const what = `${name}:${maximumRetryCount} after exit ${exitCode} and ${restarts} restarts`;
  Deno.test(`RestartBackoff ${isRestarted ? "restarts" : "does not restart"} with ${what}`, () => {
    const backoff = new RestartBackoff({ name, maximumRetryCount }, new FakeClock());
    for (let count = 0; count < restarts; count++) backoff.schedule(0, () => {});
    assertEquals(backoff.delayAfter({ exitCode, ranMs: 0 }) !== undefined, isRestarted);
  });
}

Deno.test("a container waits for its restart for the delay of the backoff, by the engine's clock", async () => {
  const clock = new FakeClock();
  await using engine = await TestEngine.start({ clock });
  const id = await engine.run("exit 1", { config: { HostConfig: { RestartPolicy: { Name: "always" } } } });
  const events = engine.follow();
  const next = async (action: string) => {
    const event = (await events.next()).value as RecordedEvent;
    assertEquals(event.Action, action);
  };
  const statusIs = async (status: string, restartCount: number) => {
    const { State, RestartCount } = await engine.inspect(id);
    assertEquals([State["Status"], RestartCount], [status, restartCount]);
  };
  await next("create");
  for (const [index, delayMs] of [100, 200, 400].entries()) {
    await next("start");
    await next("die");
    clock.advance(delayMs - 1);
    await statusIs("restarting", index + 1);
    clock.advance(1);
  }
  await next("start");
  await next("die");
  await engine.call("POST", `/containers/${id}/stop`);
  await next("stop");
  await statusIs("exited", 4);
  assertEquals(clock.pendingTimers, 0);
  await events.return(undefined);
});
