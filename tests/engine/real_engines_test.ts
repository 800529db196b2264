/** The client against real engines: what they document, and what only they can show. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EngineClient } from "../../src/engine/engine_client.ts";
import { parseEngineTime } from "../../src/engine/events/engine_time.ts";
import { engineIdentity } from "../../src/engine/events/followed_connection.ts";
import { EngineError } from "../../src/engine/http/engine_error.ts";
import { BUSYBOX_IMAGE, dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { act, removeContainer, runContainer, waitForExit } from "../support/engines/engine_containers.ts";
import { podmanAvailable, startPodman } from "../support/engines/podman_engine.ts";

/** Reads the stream until the container's `last` action. Returns the container's actions in order. */
async function actionsUntil(client: EngineClient, id: string, last: string): Promise<string[]> {
  const ending = new AbortController();
  const actions: string[] = [];
  for await (const event of await client.openEvents({ sinceNano: 1e9, abort: ending.signal })) {
    if (event.id === id) actions.push(event.action);
    if (event.id === id && event.action === last) break;
  }
  ending.abort();
  return actions;
}

Deno.test({
  name: "EngineClient works with a real dockerd",
  ignore: !await dockerAvailable(),
  fn: async () => {
    await using docker = await startDocker();
    using client = new EngineClient({ socketPath: docker.socketPath });
    const identity = await client.identify();
    assertEquals(identity.kind, "docker");
    assertMatch(identity.apiVersion, /^1\.\d\d$/);
    const info = await client.info();
    assert(Math.abs(parseEngineTime(info.SystemTime)! / 1e6 - Date.now()) < 60_000);
    assertEquals(engineIdentity("docker", info), (await client.info()).ID);

    const id = await runContainer(client, {
      image: BUSYBOX_IMAGE,
      name: "web",
      labels: { "apex.task-id": "t1" },
      cmd: ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"],
    });
    const listed = (await client.listContainers()).find((container) => container.Id === id);
    assertEquals([listed?.Names, listed?.Labels, listed?.State], [
      ["/web"],
      { "apex.task-id": "t1" },
      "running",
    ]);
    // The exec of a probe, which must not appear in the stream.
    const exec = await client.request("POST", `/containers/${id}/exec`, { body: { Cmd: ["true"] } });
    const { Id: execId } = await exec.json() as { Id: string };
    await (await client.request("POST", `/exec/${execId}/start`, { body: { Detach: true } })).text();
    for (
      const [path, query] of [["pause"], ["unpause"], ["rename", { name: "web2" }], ["kill", {
        signal: "TERM",
      }]] as const
    ) {
      await act(client, "POST", `/containers/${id}/${path}`, query);
    }
    assertEquals(await waitForExit(client, id), 7);
    const inspected = await client.inspectContainer("web2");
    assertEquals([inspected.Id, inspected.State.ExitCode, inspected.State.OOMKilled], [id, 7, false]);
    await assertRejects(() => act(client, "POST", "/containers/create", { name: "web2" }), EngineError);
    await removeContainer(client, id);
    const gone = await assertRejects(() => client.inspectContainer(id), EngineError, "No such container");
    assertEquals([gone.status, gone.code], [404, "not_found"]);
    // dockerd 20.10 may report "pause" and "unpause" twice: for the request, and for containerd's own event.
    assertEquals([...new Set(await actionsUntil(client, id, "destroy"))], [
      ...["create", "start", "pause", "unpause", "rename", "kill", "die", "destroy"],
    ]);
  },
});

Deno.test({
  name: "EngineClient works with a real Podman, whose ID is not stable",
  ignore: !await podmanAvailable(),
  fn: async () => {
    await using podman = await startPodman();
    using client = new EngineClient({ socketPath: podman.socketPath });
    assertEquals((await client.identify()).kind, "podman");
    const [first, second] = [await client.info(), await client.info()];
    assert(first.ID !== second.ID);
    assertEquals(engineIdentity("podman", first), engineIdentity("podman", second));
    const id = await runContainer(client, { image: podman.imageId, cmd: ["sh", "-c", "exit 3"] });
    assertEquals(await waitForExit(client, id), 3);
    assertEquals((await client.inspectContainer(id)).State.ExitCode, 3);
    await removeContainer(client, id);
    await assertRejects(() => client.inspectContainer(id), EngineError, "no container with");
    const actions = await actionsUntil(client, id, "remove");
    for (const action of ["create", "start", "die", "remove"]) assert(actions.includes(action), `${actions}`);
  },
});
