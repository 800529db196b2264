/** Containers in a snapshot show what the events before it have reported. `snapshot_property_test.ts` tests the whole promise. */
import { assertEquals } from "@std/assert";
import type { ContainerRecord } from "../../../src/containers/container_record.ts";
import { snapshotContainer } from "../../../src/daemon/operations/wire_results.ts";
import { eventually } from "../../support/daemons/apex_process.ts";
import { type Line, Lines } from "../../support/daemons/lines.ts";
import { startOnEmbeddedEngine, type TestDaemon } from "../../support/daemons/test_daemon.ts";
import { ContainerDriver } from "../../support/engines/container_driver.ts";

const SAID: readonly [known: Partial<ContainerRecord>, said: Line][] = [
  [{ state: "created" }, { state: "created" }],
  [{ state: "running" }, { state: "running" }],
  [{ state: "running", health: "healthy" }, { state: "running", health: "healthy" }],
  [{ state: "running", health: "unhealthy" }, { state: "running", health: "unhealthy" }],
  [{ state: "running", health: "starting" }, { state: "running" }],
  [{ state: "running", health: "none" }, { state: "running" }],
  [{ state: "paused", health: "healthy" }, { state: "running", health: "healthy" }],
  [{ state: "exited", exitCode: 3, endedAt: new Date(5) }, {
    state: "exited",
    exitCode: 3,
    endedAt: "1970-01-01T00:00:00.005Z",
  }],
  [{ state: "restarting", exitCode: 3 }, { state: "exited", exitCode: 3 }],
  // With some engines, a failed start leaves an exit code, which no event reports.
  [{ state: "created", exitCode: 127 }, { state: "created" }],
];

for (const [known, said] of SAID) {
  Deno.test(`a snapshot shows ${JSON.stringify(known)} as events report it`, () => {
    const base = { id: "4f1c", name: "web", image: "busybox", labels: { a: "b" } };
    assertEquals<unknown>(snapshotContainer({ ...base, state: "created", ...known }), { ...base, ...said });
  });
}

Deno.test("a snapshot shows only published health and no pauses, while containers.list shows both", async (t) => {
  await using given = await startOnEmbeddedEngine();
  const { daemon, engine } = given;
  using driver = new ContainerDriver(engine.socketPath);
  using lines = await Lines.open(daemon, "events.subscribe", {});
  const healthy = `${engine.dir}/healthy`;
  const id = await driver.create({
    name: "web",
    // It becomes healthy, but never unhealthy: the test decides which event is published.
    Healthcheck: { Test: ["CMD-SHELL", `test -e ${healthy}`], Interval: 20e6, Retries: 100_000 },
  });
  const post = async (action: string): Promise<void> => {
    const reply = await driver.client.request("POST", `/containers/${id}/${action}`, { query: { t: 1 } });
    await reply.body?.cancel();
  };

  await t.step("checks that have begun are not shown", async () => {
    await driver.start(id);
    await lines.untilType("container.started");
    assertEquals((await shown(daemon)).snapshot, ["running"]);
  });
  await t.step("their outcome is shown", async () => {
    await Deno.writeTextFile(healthy, "");
    await lines.untilType("container.health");
    assertEquals(await shown(daemon), { snapshot: ["running", "healthy"], list: ["running", "healthy"] });
    await Deno.remove(healthy);
  });
  await t.step("a pause is not shown", async () => {
    await post("pause");
    await eventually(async () => (await shown(daemon)).list[0] === "paused", "the pause is known");
    assertEquals(await shown(daemon), { snapshot: ["running", "healthy"], list: ["paused", "healthy"] });
    await post("unpause");
  });
  await t.step("a restart clears health", async () => {
    await post("restart");
    await lines.untilType("container.started");
    assertEquals(await shown(daemon), { snapshot: ["running"], list: ["running", "starting"] });
  });
  await t.step("an exit clears health", async () => {
    await Deno.writeTextFile(healthy, "");
    await lines.untilType("container.health");
    await post("stop");
    const { exitCode } = await lines.untilType("container.stopped");
    assertEquals(await shown(daemon), { snapshot: ["exited", exitCode], list: ["exited", exitCode] });
  });
});

/** The existing ones of run state, health and exit code of the only container. */
async function shown(daemon: TestDaemon): Promise<{ snapshot: unknown[]; list: unknown[] }> {
  const facts = ({ state, health, exitCode }: Line): unknown[] =>
    [state, health, exitCode].filter((fact) => fact !== undefined);
  const [listed] = (await daemon.request("containers.list", {})).containers;
  using lines = await Lines.open(daemon, "events.subscribe", { snapshot: true });
  const { containers: [shown] } = await lines.untilType("stream.snapshot");
  return { snapshot: facts(shown), list: facts(listed!) };
}
