/** The events of sessions on real engines. After each step a fence proves that no further event was published. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { EngineClient } from "../../src/engine/engine_client.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { act } from "../support/engines/engine_containers.ts";
import { SessionBed } from "../support/sessions/session_bed.ts";
import { TempDir } from "../support/temp_dir.ts";

async function eventSequences(t: Deno.TestContext, socketPath: string): Promise<void> {
  await using bed = await SessionBed.open({ socketPath });
  const step = (name: string, fn: (session: string) => Promise<void>): Promise<boolean> =>
    t.step(name, async () => {
      const session = `s${bed.log.length}`;
      try {
        await fn(session);
      } finally {
        if (bed.pool.list().some((each) => each.name === session)) await bed.pool.kill(session);
      }
    });
  const events = async (session: string): Promise<string> => {
    await bed.fence();
    return bed.sessionEvents(session).join(" ");
  };

  await step("an attach that creates: created, attached", async (name) => {
    await using client = await bed.attach({ name });
    client.type("echo $((40 + 2))\n");
    await client.untilOutput("42");
    assertEquals(await events(name), "created attached");
    assertEquals(bed.of(name), ["created", "started", "session:created", "session:attached"]);
    const [listed] = bed.pool.list();
    assertEquals([listed?.name, listed?.status, listed?.attachedPid], [name, "attached", client.client.pid]);
  });

  await step("a creation that fails publishes nothing and leaves no container", async (name) => {
    await assertRejects(() => bed.attach({ name, cmd: ["no-such-command"], init: false }), ApexError);
    await bed.until("failed:start");
    assertEquals(await events(name), "");
    assert(bed.containers.list().every(({ labels }) => labels["apex.session"] !== name));
  });

  await step(
    "a background attach: created, attached, detached; a second one: attached, detached; while attached: refused",
    async (name) => {
      {
        await using client = await bed.attach({ name, background: true });
        assertEquals(await client.untilLast(), { kind: "detach", value: { reason: "requested" } });
      }
      assertEquals(await events(name), "created attached detached");
      {
        await using _client = await bed.attach({ name, background: true });
      }
      assertEquals(await events(name), "created attached detached attached detached");
      await using holder = await bed.attach({ name });
      const error = await assertRejects(() => bed.attach({ name, background: true }), ApexError);
      assertEquals(error.code, "busy");
      assertStringIncludes(error.message, `already attached (pid ${holder.client.pid}); use --force`);
      assertEquals(await events(name), "created attached detached attached detached attached");
    },
  );

  await step(
    "a client that disconnects: detached; another attach: attached, with the screen",
    async (name) => {
      {
        await using client = await bed.attach({ name });
        client.type("echo one$((1 + 1))three\n");
        await client.untilOutput("one2three");
      }
      await bed.until(`session:detached ${name}`);
      await using again = await bed.attach({ name });
      await again.untilOutput("one2three");
      assertEquals(await events(name), "created attached detached attached");
    },
  );

  await step("a forced attach to an attached session: detached, attached", async (name) => {
    await using first = await bed.attach({ name });
    await using second = await bed.attach({ name, force: true });
    assertEquals(await first.untilLast(), { kind: "detach", value: { reason: "forced" } });
    second.type("echo $((6 * 7))\n");
    await second.untilOutput("42");
    assertEquals(await events(name), "created attached detached attached");
  });

  await step("a detach: detached once; a second one: an error and no event", async (name) => {
    await using client = await bed.attach({ name });
    bed.pool.detach(name);
    assertEquals(await client.untilLast(), { kind: "detach", value: { reason: "requested" } });
    await client.served;
    const error = await assertRejects(() => Promise.try(() => bed.pool.detach(name)), ApexError);
    assertEquals(error.code, "conflict");
    assertEquals(await events(name), "created attached detached");
  });

  await step("an exit while attached: removed, with the status after all output", async (name) => {
    await using client = await bed.attach({ name });
    client.type("echo la$((0))st; exit 7\n");
    assertEquals(await client.untilLast(), { kind: "exit", value: { exitCode: 7, reason: "exit" } });
    assertStringIncludes(client.output, "la0st");
    assertEquals(await events(name), "created attached removed");
    assertEquals(bed.of(name).slice(-3), ["died", "session:removed", "removed"]);
  });

  await step("a foreign SIGKILL while attached: removed, with its status", async (name) => {
    await using client = await bed.attach({ name });
    await act(bed.client, "POST", `/containers/${bed.containerIdOf(name)}/kill`, { signal: "KILL" });
    assertEquals(await client.untilLast(), { kind: "exit", value: { exitCode: 137, reason: "exit" } });
    assertEquals(await events(name), "created attached removed");
  });

  await step("a kill while attached: removed", async (name) => {
    await using client = await bed.attach({ name });
    await bed.pool.kill(name);
    assertEquals((await client.untilLast()).value.reason, "killed");
    assertEquals(await events(name), "created attached removed");
    assert(bed.of(name).includes("stopped"), bed.of(name).join());
  });

  await step("the end of the time to live, while attached and while detached: removed", async (name) => {
    await using client = await bed.attach({ name, ttlMs: 300 });
    assertEquals((await client.untilLast()).value.reason, "ttl");
    assertEquals(await events(name), "created attached removed");
    const idle = `${name}-idle`;
    await using _client = await bed.attach({ name: idle, ttlMs: 300, background: true });
    await bed.until(`session:removed ${idle}`);
    assertEquals(await events(idle), "created attached detached removed");
  });

  await step("an exit and a kill while detached: removed", async (name) => {
    await using client = await bed.attach({ name, cmd: ["sh", "-c", "read x; exit 3"] });
    const id = bed.containerIdOf(name);
    client.sendFrame("detach");
    await client.untilLast();
    await act(bed.client, "POST", `/containers/${id}/kill`, { signal: "KILL" });
    await bed.until(`session:removed ${name}`);
    assertEquals(await events(name), "created attached detached removed");
    const killed = `${name}-killed`;
    await using _client = await bed.attach({ name: killed, background: true });
    await bed.pool.kill(killed);
    assertEquals(await events(killed), "created attached detached removed");
  });

  await step("a foreign removal: removed, and no failure is published", async (name) => {
    await using _client = await bed.attach({ name, background: true });
    const failures = bed.log.filter((line) => line.startsWith("failed:")).length;
    await act(bed.client, "DELETE", `/containers/${bed.containerIdOf(name)}`, { force: 1 });
    await bed.until(`session:removed ${name}`);
    assertEquals(await events(name), "created attached detached removed");
    const busy = `${name}-busy`;
    await using client = await bed.attach({ name: busy });
    await act(bed.client, "DELETE", `/containers/${bed.containerIdOf(busy)}`, { force: 1 });
    assertEquals(await client.untilLast(), { kind: "exit", value: { exitCode: 137, reason: "removed" } });
    assertEquals(await events(busy), "created attached removed");
    assertEquals(bed.log.filter((line) => line.startsWith("failed:")).length, failures);
  });

  await step("an attach to a session whose container has ended: removed, created, attached", async (name) => {
    {
      const cmd = ["sh", "-c", "trap 'exit 0' TERM; echo up; read x"];
      await using client = await bed.attach({ name, cmd });
      // Before that, SIGTERM has no effect on it.
      await client.untilOutput("up");
    }
    await bed.until(`session:detached ${name}`);
    const before = bed.containerIdOf(name);
    // After a foreign SIGTERM the end of a container is published two seconds late. The session has ended before that.
    await act(bed.client, "POST", `/containers/${before}/kill`, { signal: "TERM" });
    await act(bed.client, "POST", `/containers/${before}/wait`);
    await using client = await bed.attach({ name });
    client.type("echo $((5 * 5))\n");
    await client.untilOutput("25");
    assertEquals(await events(name), "created attached detached removed created attached");
    assert(bed.containerIdOf(name) !== before);
  });

  await step(
    "two attaches to a new name at the same time: one creates, the other is refused as busy",
    async (name) => {
      const both = await Promise.allSettled([bed.attach({ name }), bed.attach({ name })]);
      const codes = both.map((each) => each.status === "rejected" ? (each.reason as ApexError).code : "ok");
      assertEquals(codes.sort(), ["busy", "ok"]);
      assertEquals(await events(name), "created attached");
      for (const each of both) if (each.status === "fulfilled") await each.value[Symbol.asyncDispose]();
    },
  );

  await step("the program in a session sees the client's size and its changes", async (name) => {
    await using client = await bed.attach({ name }, { columns: 101, rows: 31 });
    // The size is set shortly after the start.
    client.type("until [ \"$(busybox stty size)\" = '31 101' ]; do sleep 0.1; done; echo fi$((1))rst\n");
    await client.untilOutput("fi1rst");
    client.resize(66, 22);
    client.type("until [ \"$(busybox stty size)\" = '22 66' ]; do sleep 0.1; done; echo sec$((2))nd\n");
    await client.untilOutput("sec2nd");
  });
}

async function restart(socketPath: string): Promise<void> {
  await using temp = await TempDir.make();
  const path = temp.join("apex.db");
  await using first = await SessionBed.open({ socketPath, path });
  await using client = await first.attach({ name: "kept" });
  await using _idle = await first.attach({ name: "idle", background: true, ttlMs: 3_600_000 });
  await using ended = await first.attach({ name: "ended" });
  client.type("echo be$((4))fore\n");
  await client.untilOutput("be4fore");
  // The database as after a kill of the daemon: without what the end of the daemon would write.
  for (const suffix of ["", "-wal"]) await Deno.copyFile(`${path}${suffix}`, `${path}.kept${suffix}`);
  const endedId = first.containerIdOf("ended");
  const expiresAt = first.pool.list().find(({ name }) => name === "idle")?.expiresAt;
  await first[Symbol.asyncDispose]();
  await client.served;
  await ended.served;
  using engine = new EngineClient({ socketPath });
  await act(engine, "POST", `/containers/${endedId}/kill`, { signal: "KILL" });
  await act(engine, "POST", `/containers/${endedId}/wait`);

  await using next = await SessionBed.open({ socketPath, path: `${path}.kept` });
  await next.fence();
  assertEquals(next.sessionEvents("kept"), ["detached"]);
  assertEquals(next.sessionEvents("idle"), []);
  assertEquals(next.sessionEvents("ended"), ["removed"]);
  assertEquals(next.pool.list().map(({ name }) => name).sort(), ["idle", "kept"]);
  assertEquals(next.pool.list().find(({ name }) => name === "idle")?.expiresAt, expiresAt);
  await using again = await next.attach({ name: "kept" });
  await again.untilOutput("be4fore");
  again.type("echo af$((8))ter\n");
  await again.untilOutput("af8ter");
  await next.fence();
  assertEquals(next.sessionEvents("kept"), ["detached", "attached"]);
  await next.until("container:removed ended");
  assertEquals(next.containers.find(endedId), undefined);
  for (const { name } of next.pool.list()) await next.pool.kill(name);
}

async function otherInstance(socketPath: string): Promise<void> {
  await using first = await SessionBed.open({ socketPath });
  await using _client = await first.attach({ name: "dev", background: true });
  // It has no rows of the first instance, as after the loss of a database.
  await using other = await SessionBed.open({ socketPath, instance: "fedcba9876543210" });
  assertEquals(other.pool.list(), []);
  assertEquals((await assertRejects(() => other.pool.kill("dev"), ApexError)).code, "not_found");
  // The name of the container is taken, but that of the session is free.
  await using own = await other.attach({ name: "dev" });
  own.type("echo se$((2))cond\n");
  await own.untilOutput("se2cond");
  await using same = await SessionBed.open({ socketPath });
  assertEquals(same.pool.list().map(({ name }) => name), ["dev"]);
  assertEquals(same.containerIdOf("dev"), first.containerIdOf("dev"));
  await other.pool.kill("dev");
  assertEquals(first.pool.list().map(({ name }) => name), ["dev"]);
  await first.pool.kill("dev");
}

Deno.test({
  name: "sessions on Docker publish the expected events, and outlive the daemon",
  ignore: !await dockerAvailable(),
  async fn(t) {
    await using docker = await startDocker();
    await eventSequences(t, docker.socketPath);
    await t.step("the next daemon adopts them", () => restart(docker.socketPath));
    await t.step("another instance does not adopt them", () => otherInstance(docker.socketPath));
  },
});

Deno.test("sessions on the embedded engine publish the expected events, and outlive the daemon", async (t) => {
  await using engine = await TestEngine.start();
  await eventSequences(t, engine.socketPath);
  await t.step("the next daemon adopts them", () => restart(engine.socketPath));
  await t.step("another instance does not adopt them", () => otherInstance(engine.socketPath));
});
