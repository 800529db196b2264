/**
 * Two daemons on one engine, each with its own directories, like two users of one Docker. Neither touches the containers of
 * the other, and each keeps its own, even if it is killed or loses its database.
 */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import type { WorkspaceResult } from "../../src/protocol/task_operations.ts";
import { ApexHome, type ApexProcess } from "../support/daemons/apex_process.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { TEST_ENGINES } from "../support/engines/test_engines.ts";
import { TempDir } from "../support/temp_dir.ts";

/** One apex instance: its directories, and its current daemon. */
class Instance implements AsyncDisposable {
  readonly home: ApexHome;
  readonly #socketPath: string;
  #daemon: ApexProcess | undefined;

  private constructor(home: ApexHome, socketPath: string) {
    this.home = home;
    this.#socketPath = socketPath;
  }

  static async start(socketPath: string): Promise<Instance> {
    const home = await ApexHome.create();
    await home.configure('image = "busybox:local"\nstop_timeout = "1s"\n[session]\nkill_grace = "1s"\n');
    const instance = new Instance(home, socketPath);
    await instance.startDaemon();
    return instance;
  }

  async startDaemon(): Promise<void> {
    this.#daemon = await this.home.startDaemon(["--engine", `unix://${this.#socketPath}`]);
    // By then the daemon has adopted the sessions and tasks of the previous one.
    await request(this.home.controlSocket, "sessions.list", {});
    await request(this.home.controlSocket, "workspaces.list", {});
  }

  /** The daemon's log. */
  get log(): string {
    return this.#daemon?.stderrSoFar ?? "";
  }

  async endDaemon(signal: Deno.Signal): Promise<void> {
    this.#daemon?.kill(signal);
    await this.#daemon?.finished();
  }

  async id(): Promise<string | undefined> {
    return JSON.parse(await this.stdout(["status", "--json"])).instance;
  }

  /** The output of a verb, which must succeed. */
  async stdout(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.home.apex(args);
    assertEquals(code, 0, stderr);
    return stdout;
  }

  /** `dev detached`: each session and its state. */
  async sessions(): Promise<string[]> {
    const sessions = JSON.parse(await this.stdout(["list", "--json"]));
    return sessions.map(({ name, status }: { name: string; status: string }) => `${name} ${status}`);
  }

  /** `t1 task`: the task and the owner of each workspace. */
  async workspaces(...flags: string[]): Promise<string[]> {
    const workspaces: WorkspaceResult[] = JSON.parse(await this.stdout(["workspaces", "--json", ...flags]));
    return workspaces
      .map(({ taskId, orphaned, kept }) => `${taskId} ${orphaned ? "orphan" : kept ? "kept" : "task"}`)
      .sort();
  }

  /** Starts a long-running task. */
  async runTask(taskId: string): Promise<void> {
    const command = ["--", "sleep", "600"];
    assertEquals(
      await this.stdout(["run", "-d", "--network", "none", "--task", taskId, ...command]),
      `${taskId}\n`,
    );
  }

  /** Creates a session without an attached client. */
  async createSession(name: string): Promise<void> {
    await this.stdout(["attach", "--background", "--network", "none", name, "--", "sleep", "600"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.[Symbol.asyncDispose]();
    await this.home[Symbol.asyncDispose]();
  }
}

for (const { name: engineName, ignore, start } of TEST_ENGINES) {
  Deno.test({
    name: `two daemons on ${engineName} do not touch each other's containers`,
    ignore,
    async fn(t) {
      await using dir = await TempDir.make();
      await using engine = await start(dir);
      using driver = new ContainerDriver(engine.socketPath);
      /** `apex-task-t1 running`: the name and state of each container that apex has created. */
      const containers = async (): Promise<string[]> =>
        (await driver.client.listContainers())
          .filter(({ Labels }) => Labels?.["apex.managed"] === "true")
          .map(({ Names, State }) => `${Names?.[0]?.slice(1)} ${State}`).sort();

      await using first = await Instance.start(engine.socketPath);
      await first.runTask("t1");
      await first.createSession("dev");
      await first.stdout(["run", "--network", "none", "--keep", "--task", "evidence", "--", "true"]);
      const created = ["apex-session-dev running", "apex-task-evidence exited", "apex-task-t1 running"];
      assertEquals(await containers(), created);
      // Created by a version of apex without instances, or by another program.
      await driver.create({
        name: "apex-task-unnamed",
        Labels: { "apex.managed": "true", "apex.task-id": "unnamed" },
        HostConfig: { NetworkMode: "none" },
      });
      const all = [...created, "apex-task-unnamed created"];

      await using second = await Instance.start(engine.socketPath);
      const [firstId, secondId] = [await first.id(), await second.id()];

      await t.step("each instance has its own id, and labels its containers with it", async () => {
        assertMatch(firstId ?? "", /^[0-9a-f]{16}$/);
        assertMatch(secondId ?? "", /^[0-9a-f]{16}$/);
        assertNotEquals(firstId, secondId);
        assertStringIncludes(await first.stdout(["status"]), firstId!);
        for (const name of ["apex-task-t1", "apex-session-dev", "apex-task-evidence"]) {
          const { Config } = await driver.client.inspectContainer(name);
          assertEquals(Config.Labels?.["apex.instance"], firstId, name);
        }
      });

      await t.step("the second instance neither adopts nor removes the containers of the first", async () => {
        assertEquals(await second.workspaces(), []);
        assertEquals(second.log.includes("apex-task-"), false, second.log);
        const cleaned = await second.home.apex(["workspaces", "clean", "--yes"]);
        assertEquals([cleaned.code, cleaned.stdout], [0, ""]);
        for (const name of ["t1", "evidence", "unnamed"]) {
          assertEquals((await second.home.apex(["workspaces", "clean", "--yes", name])).code, 4);
        }
        assertEquals(await second.sessions(), []);
        assertEquals((await second.home.apex(["kill", "dev"])).code, 4);
        const cancelled = await second.home.apex(["cancel", "t1"]);
        assertEquals(cancelled.code, 5);
        assertStringIncludes(cancelled.stderr, `belongs to another apex instance (${firstId};`);
        assertEquals(await containers(), all);
      });

      await t.step("the second instance lists them with --all, and names the owner", async () => {
        assertEquals(await second.workspaces("--all"), ["evidence task", "t1 task", "unnamed task"]);
        const table = await second.stdout(["workspaces", "--all"]);
        assertMatch(table, new RegExp(`^t1 .* ${firstId} `, "m"));
        assertMatch(table, /^unnamed .* - +-/m);
      });

      await t.step("the second instance can use the same task and session names", async () => {
        await second.runTask("t1");
        await second.createSession("dev");
        assertEquals(await second.workspaces(), ["t1 task"]);
        assertEquals(await second.sessions(), ["dev detached"]);
        assertEquals((await second.home.apex(["cancel", "t1"])).code, 0);
        assertEquals((await second.home.apex(["kill", "dev"])).code, 0);
        assertEquals(await containers(), all);
      });

      await t.step("a killed daemon gets its own containers back", async () => {
        await first.endDaemon("SIGKILL");
        await first.startDaemon();
        assertEquals(await first.id(), firstId);
        assertEquals(await first.workspaces(), ["evidence kept", "t1 task"]);
        assertEquals(await first.sessions(), ["dev detached"]);
      });

      await t.step(
        "so does a daemon with a damaged database, as orphans if the task is unknown",
        async () => {
          await first.endDaemon("SIGTERM");
          await Deno.writeTextFile(`${first.home.dir}/state/apex.db`, "no database ".repeat(1_000));
          await first.startDaemon();
          assertEquals(await first.id(), firstId);
          assertEquals(await first.workspaces(), ["evidence orphan", "t1 orphan"]);
          assertEquals(await first.sessions(), ["dev detached"]);
          assertEquals(await second.workspaces(), []);
          assertEquals((await second.home.apex(["workspaces", "clean", "--yes"])).stdout, "");
          assertEquals(
            await first.stdout(["workspaces", "clean", "--yes", "evidence"]),
            "apex-task-evidence\n",
          );
        },
      );

      await t.step("clean --instance removes only the containers of that instance", async () => {
        const clean = ["workspaces", "clean", "--instance"];
        assertEquals(
          (await second.home.apex([...clean, firstId!])).code,
          2,
          "there is no terminal to ask for confirmation",
        );
        assertEquals(await second.stdout([...clean, firstId!, "--yes"]), "apex-task-t1\n");
        assertEquals(await second.stdout([...clean, "-", "--yes"]), "apex-task-unnamed\n");
        assertEquals(await first.sessions(), ["dev detached"]);
        assertEquals((await first.home.apex(["kill", "dev"])).code, 0);
        assertEquals(await containers(), []);
      });
    },
  });
}
