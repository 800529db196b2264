/** Workspaces behave the same on the embedded engine and on Docker. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { EngineWorkspaces, specOf } from "../support/engines/engine_workspaces.ts";
import { TempDir } from "../support/temp_dir.ts";

type Steps = (on: EngineWorkspaces, socketPath: string) => Promise<void>;

const STEPS: Record<string, Steps> = {
  "workspace-created and workspace-cleaned follow directly after the events of the container": async (on) => {
    await using dir = await TempDir.make();
    const workspace = await on.workspaces.create(specOf("t1", "echo hi > note", { projectDir: dir.path }));
    assertEquals(workspace, {
      taskId: "t1",
      containerName: "apex-task-t1",
      containerId: workspace.containerId!,
      workspacePath: dir.path,
      policy: { cleanupOnComplete: true, preserveOnFailure: false },
    });
    assertEquals(on.workspaces.get("t1"), workspace);
    await on.workspaces.start("t1");
    await on.until("died t1");
    assertEquals(
      await Deno.readTextFile(dir.join("note")),
      "hi\n",
      "the command ran in the project directory",
    );
    const record = on.workspaces.container("t1");
    assertEquals([record?.exitCode, record?.labels["apex.managed"], record?.labels["apex.task-id"]], [
      0,
      "true",
      "t1",
    ]);
    await on.workspaces.finish("t1", "completed");
    assertEquals(on.workspaces.get("t1"), undefined);
    await on.until("workspace-cleaned t1");
    assertEquals(on.seen, [
      "created t1",
      "workspace-created t1",
      "started t1",
      "died t1",
      "removed t1",
      "workspace-cleaned t1",
    ]);
    const { containerId } = workspace;
    assertEquals(
      on.events.map(({ taskId, containerId, workspacePath }) => ({ taskId, containerId, workspacePath })),
      Array(2).fill({ taskId: "t1", containerId, workspacePath: dir.path }),
    );
    assertEquals([on.workspaces.list(), on.workspaces.orphans()], [[], []]);
  },

  "finish() keeps the container if the policy says so, and removeOrphans() removes it": async (
    on,
  ) => {
    const keep = { cleanupOnComplete: false, preserveOnFailure: false };
    const keepFailed = { cleanupOnComplete: true, preserveOnFailure: true };
    await on.workspaces.create(specOf("kept", "true", { policy: keep }));
    await on.workspaces.create(specOf("failed", "true", { policy: keepFailed }));
    await on.workspaces.create(specOf("done", "true", { policy: keepFailed }));
    await on.until("workspace-created done");
    assertEquals(on.workspaces.orphans(), []);
    await on.workspaces.finish("kept", "completed");
    await on.workspaces.finish("failed", "failed");
    await on.workspaces.finish("done", "cancelled");
    await on.until("workspace-cleaned done");
    assertEquals(
      on.workspaces.orphans().map(({ taskId, containerName, state }) => ({ taskId, containerName, state })),
      ["kept", "failed"].map((id) => ({ taskId: id, containerName: `apex-task-${id}`, state: "created" })),
    );
    const outcome = await on.workspaces.removeOrphans(["apex-task-kept", "apex-task-none"]);
    assertEquals(outcome.removed, ["apex-task-kept"]);
    assertEquals(outcome.failed.map(({ name }) => name), ["apex-task-none"]);
    await on.until("workspace-cleaned kept");
    assertEquals((await on.workspaces.removeOrphans()).removed, ["apex-task-failed"]);
    await on.until("workspace-cleaned failed");
    assertEquals(on.workspaces.orphans(), []);
  },

  "create() adds a suffix to the container's name when a kept container has the name": async (on) => {
    await on.workspaces.create(
      specOf("twice", "true", { policy: { cleanupOnComplete: false, preserveOnFailure: false } }),
    );
    await assertRejects(() => on.workspaces.create(specOf("twice", "true")), ApexError, `task "twice"`);
    await on.until("workspace-created twice");
    await on.workspaces.finish("twice", "completed");
    const { containerName } = await on.workspaces.create(specOf("twice", "true"));
    assert(/^apex-task-twice-[0-9a-f]{4}$/.test(containerName), containerName);
    await on.until("workspace-created twice", 2);
    await on.workspaces.finish("twice", "completed");
    await on.until("workspace-cleaned twice");
    assertEquals(on.workspaces.orphans().map(({ containerName }) => containerName), ["apex-task-twice"]);
    await on.workspaces.removeOrphans();
  },

  "a running container that another client removes is cleaned once, without a failure": async (on) => {
    const { containerId } = await on.workspaces.create(specOf("gone", "sleep 600"));
    await on.workspaces.start("gone");
    await on.until("started gone");
    const finished = Promise.withResolvers<boolean>();
    on.workspaces.on("container:died", () => finished.resolve(on.workspaces.finish("gone", "failed")));
    await on.removeByHand(containerId!);
    await finished.promise;
    await on.until("workspace-cleaned gone");
    assertEquals(on.seen.slice(3), ["died gone", "removed gone", "workspace-cleaned gone"]);
    assertEquals(on.workspaces.list(), []);
  },

  "finish() removes a container that never started, or that still runs": async (on) => {
    await on.workspaces.create(specOf("idle", "true"));
    await on.workspaces.create(specOf("busy", "sleep 600"));
    await on.workspaces.start("busy");
    await on.until("started busy");
    await Promise.all([on.workspaces.finish("idle", "failed"), on.workspaces.finish("busy", "failed")]);
    await on.until("workspace-cleaned idle");
    await on.until("workspace-cleaned busy");
    assertEquals(on.seen.filter((each) => each.includes("failed")), []);
  },

  "stop() and signal() reach the container": async (on) => {
    await on.workspaces.create(specOf("stopped", "sleep 600"));
    await on.workspaces.start("stopped");
    await on.until("started stopped");
    await on.workspaces.stop("stopped", { timeoutSeconds: 0 });
    await on.until("stopped stopped");
    await on.workspaces.create(specOf("signalled", "sleep 600"));
    await on.workspaces.start("signalled");
    await on.until("started signalled");
    await on.workspaces.signal("signalled", "SIGKILL");
    await on.until("died signalled");
    assertEquals(on.workspaces.container("signalled")?.exitCode, 137);
    // The process has exited; then the container is removed.
    await on.workspaces.signal("signalled", "SIGINT");
    await on.removeByHand(on.workspaces.get("signalled")!.containerId!);
    await on.workspaces.signal("signalled", "SIGINT");
    assertEquals(on.seen.filter((each) => each.includes("failed")), []);
    for (const id of ["stopped", "signalled"]) await on.workspaces.finish(id, "cancelled");
    await on.until("workspace-cleaned signalled");
  },

  "create() leaves no container when it fails, and says why": async (on) => {
    await using dir = await TempDir.make();
    await Deno.writeTextFile(dir.join("file"), "");
    const refusals: [Partial<Parameters<typeof specOf>[2]>, string][] = [
      [{ projectDir: "relative" }, `cannot mount "relative" at /workspace: not an absolute path`],
      [
        { projectDir: dir.join("none") },
        `cannot mount "${dir.join("none")}" at /workspace: no such directory`,
      ],
      [{ projectDir: dir.join("file") }, `cannot mount "${dir.join("file")}" at /workspace: not a directory`],
      [{
        projectDir: dir.path,
        container: { image: "busybox:local", mounts: [{ source: dir.path, target: "/workspace/" }] },
      }, "another mount has that target"],
      [{ container: { image: "no such image" } }, "no such image"],
    ];
    for (const [spec, message] of refusals) {
      await assertRejects(() => on.workspaces.create(specOf("bad", "true", spec)), ApexError, message);
      assertEquals([on.workspaces.get("bad"), on.workspaces.list()], [undefined, []]);
    }
    assertEquals(on.manager.list(), []);
    await assertRejects(() => on.workspaces.start("bad"), ApexError, `task "bad" has no container`);
  },

  "adopt() adds a container of an earlier process, and one that was removed since": async (
    on,
    socketPath,
  ) => {
    const { containerId } = await on.workspaces.create(specOf("old", "sleep 600"));
    await on.until("workspace-created old");
    await using later = await EngineWorkspaces.start(socketPath);
    assertEquals(later.workspaces.orphans().map(({ taskId }) => taskId), ["old"]);
    const policy = { cleanupOnComplete: true, preserveOnFailure: false };
    later.workspaces.adopt({ taskId: "old", containerName: "apex-task-old", policy });
    later.workspaces.adopt({
      taskId: "lost",
      containerName: "apex-task-lost",
      containerId: "0".repeat(64),
      policy,
    });
    assertEquals([later.workspaces.orphans(), later.workspaces.get("old")?.containerId], [[], containerId]);
    await later.workspaces.start("old");
    await later.until("started old");
    await later.workspaces.finish("lost", "failed");
    await later.workspaces.finish("old", "cancelled");
    await later.until("workspace-cleaned old");
    assertEquals(later.seen, [
      "started old",
      "workspace-cleaned lost",
      "died old",
      "removed old",
      "workspace-cleaned old",
    ]);
    assertEquals(later.workspaces.list(), []);
    await on.until("workspace-cleaned old");
  },

  "orphans() lists neither sessions nor containers that apex did not create": async (on) => {
    const make = (name: string, labels: Record<string, string>) =>
      on.manager.create({ image: "busybox:local", cmd: ["true"], network: "none", name, labels });
    await make("theirs", {});
    await make("apex-task-byhand", {});
    await make("session", { "apex.managed": "true", "apex.session": "s", "apex.task-id": "s" });
    await make("orphan", { "apex.managed": "true", "apex.task-id": "o" });
    await on.until("created o");
    assertEquals(on.workspaces.orphans().map(({ containerName }) => containerName), ["orphan"]);
    for (const { id } of on.manager.list()) await on.removeByHand(id);
  },

  "a container of another instance is foreign: neither an orphan nor adopted, and removed only on request":
    async (
      on,
      socketPath,
    ) => {
      await on.workspaces.create(specOf("theirs", "sleep 600"));
      await on.until("workspace-created theirs");
      await using other = await EngineWorkspaces.start(socketPath, { instance: "fedcba9876543210" });
      const names = () =>
        [other.workspaces.orphans(), other.workspaces.foreign()]
          .map((each) => each.map(({ containerName }) => containerName));
      assertEquals(names(), [[], ["apex-task-theirs"]]);
      const policy = { cleanupOnComplete: true, preserveOnFailure: false };
      other.workspaces.adopt({ taskId: "theirs", containerName: "apex-task-theirs", policy });
      assertEquals(other.workspaces.container("theirs"), undefined);
      await other.workspaces.finish("theirs", "failed");
      const { failed } = await other.workspaces.removeOrphans(["apex-task-theirs"]);
      assertEquals(failed.map(({ name }) => name), ["apex-task-theirs"]);
      assertEquals((await other.workspaces.removeOrphans()).removed, []);

      // The name of the container is taken. The task id is free.
      const { containerName } = await other.workspaces.create(specOf("theirs", "true"));
      assertMatch(containerName, /^apex-task-theirs-[0-9a-f]{4}$/);
      await other.workspaces.finish("theirs", "cancelled");
      await other.until("workspace-cleaned theirs");
      assertEquals(names(), [[], ["apex-task-theirs"]]);

      const of = other.workspaces.foreign();
      assertEquals((await other.workspaces.removeOrphans(undefined, { of })).removed, ["apex-task-theirs"]);
      await on.until("workspace-cleaned theirs");
    },
};

for (const [name, steps] of Object.entries(STEPS)) {
  Deno.test(`embedded engine: ${name}`, async () => {
    await using engine = await TestEngine.start();
    await using on = await EngineWorkspaces.start(engine.socketPath);
    await steps(on, engine.socketPath);
  });
}

Deno.test({
  name: "Docker: workspaces",
  ignore: !await dockerAvailable(),
  fn: async (t) => {
    await using docker = await startDocker();
    for (const [name, steps] of Object.entries(STEPS)) {
      await t.step(name, async () => {
        await using on = await EngineWorkspaces.start(docker.socketPath);
        await steps(on, docker.socketPath);
      });
    }
  },
});
