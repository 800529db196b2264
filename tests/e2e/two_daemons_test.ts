/**
 * Two daemons, each with directories of its own, on one engine: as two users of one Docker have them. Neither touches what
 * the other created, and each keeps its own, whatever happens to it or to its database.
 */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { request } from "../../src/client/control_exchange.ts";
import type { WorkspaceResult } from "../../src/protocol/control.ts";
import { ApexHome, type ApexProcess } from "../support/daemons/apex_process.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { TEST_ENGINES } from "../support/engines/test_engines.ts";
import { TempDir } from "../support/temp_dir.ts";

/** One apex instance: its directories, and the daemon that runs there now. */
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
    // What becomes of the sessions and tasks of an earlier daemon is known then.
    await request(this.home.controlSocket, "sessions.list", {});
    await request(this.home.controlSocket, "workspaces.list", {});
  }

  /** What the daemon has logged. */
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

  /** What a verb prints that has to succeed. */
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

  /** `t1 task`: the tasks of the workspaces, and who owns each. */
  async workspaces(...flags: string[]): Promise<string[]> {
    const workspaces: WorkspaceResult[] = JSON.parse(await this.stdout(["workspaces", "--json", ...flags]));
    return workspaces
      .map(({ taskId, orphaned, kept }) => `${taskId} ${orphaned ? "orphan" : kept ? "kept" : "task"}`)
      .sort();
  }

  /** Starts a task that runs for long. */
  async runTask(taskId: string): Promise<void> {
    const command = ["--", "sleep", "600"];
    assertEquals(
      await this.stdout(["run", "-d", "--network", "none", "--task", taskId, ...command]),
      `${taskId}\n`,
    );
  }

  /** Creates a session with nobody attached. */
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
    name: `two daemons on ${engineName} leave each other's containers alone`,
    ignore,
    async fn(t) {
      await using dir = await TempDir.make();
      await using engine = await start(dir);
      using driver = new ContainerDriver(engine.socketPath);
      /** `apex-task-t1 running`: what apex created and what is still there. */
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
      // Of an apex that did not name its instance yet, or of no apex at all.
      await driver.create({
        name: "apex-task-unnamed",
        Labels: { "apex.managed": "true", "apex.task-id": "unnamed" },
        HostConfig: { NetworkMode: "none" },
      });
      const all = [...created, "apex-task-unnamed created"];

      await using second = await Instance.start(engine.socketPath);
      const [firstId, secondId] = [await first.id(), await second.id()];

      await t.step("each has an id of its own, with which it labels what it creates", async () => {
        assertMatch(firstId ?? "", /^[0-9a-f]{16}$/);
        assertMatch(secondId ?? "", /^[0-9a-f]{16}$/);
        assertNotEquals(firstId, secondId);
        assertStringIncludes(await first.stdout(["status"]), firstId!);
        for (const name of ["apex-task-t1", "apex-session-dev", "apex-task-evidence"]) {
          const { Config } = await driver.client.inspectContainer(name);
          assertEquals(Config.Labels?.["apex.instance"], firstId, name);
        }
      });

      await t.step("the second neither adopts nor cleans what is not its own", async () => {
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

      await t.step("the second shows them with --all, and whose they are", async () => {
        assertEquals(await second.workspaces("--all"), ["evidence task", "t1 task", "unnamed task"]);
        const table = await second.stdout(["workspaces", "--all"]);
        assertMatch(table, new RegExp(`^t1 .* ${firstId} `, "m"));
        assertMatch(table, /^unnamed .* - +-/m);
      });

      await t.step("names of the first are free for the second", async () => {
        await second.runTask("t1");
        await second.createSession("dev");
        assertEquals(await second.workspaces(), ["t1 task"]);
        assertEquals(await second.sessions(), ["dev detached"]);
        assertEquals((await second.home.apex(["cancel", "t1"])).code, 0);
        assertEquals((await second.home.apex(["kill", "dev"])).code, 0);
        assertEquals(await containers(), all);
      });

      await t.step("a daemon that was killed has its own back", async () => {
        await first.endDaemon("SIGKILL");
        await first.startDaemon();
        assertEquals(await first.id(), firstId);
        assertEquals(await first.workspaces(), ["evidence kept", "t1 task"]);
        assertEquals(await first.sessions(), ["dev detached"]);
      });

      await t.step("so has one whose database is damaged, as orphans where it forgot the task", async () => {
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
      });

      await t.step("clean --instance removes those of that instance alone", async () => {
        const clean = ["workspaces", "clean", "--instance"];
        assertEquals((await second.home.apex([...clean, firstId!])).code, 2, "nobody can be asked");
        assertEquals(await second.stdout([...clean, firstId!, "--yes"]), "apex-task-t1\n");
        assertEquals(await second.stdout([...clean, "-", "--yes"]), "apex-task-unnamed\n");
        assertEquals(await first.sessions(), ["dev detached"]);
        assertEquals((await first.home.apex(["kill", "dev"])).code, 0);
        assertEquals(await containers(), []);
      });
    },
  });
}
