/**
 * The daemon is killed and restarted repeatedly while containers start, exit and are removed. Over all its runs together,
 * each change is published once, in order, with its exit code. The published events are read from the journal.
 */
import { assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { request } from "../../src/client/control_exchange.ts";
import { openStream } from "../../src/client/control_stream.ts";
import { ApexHome, type ApexProcess, eventually } from "../support/daemons/apex_process.ts";
import { ContainerDriver } from "../support/engines/container_driver.ts";
import { TEST_ENGINES } from "../support/engines/test_engines.ts";
import { TempDir } from "../support/temp_dir.ts";

/** The signals that end the first daemon, the second, and so on. */
const ENDS: readonly Deno.Signal[] = ["SIGKILL", "SIGTERM", "SIGKILL", "SIGKILL", "SIGTERM", "SIGKILL"];

type Line = Readonly<Record<string, unknown>>;

/** All published events, in order. */
function published(home: ApexHome): Line[] {
  using stack = new DisposableStack();
  const database = stack.adopt(
    new DatabaseSync(`${home.dir}/state/apex.db`, { readOnly: true }),
    (each) => each.close(),
  );
  const rows = database.prepare("SELECT line FROM events ORDER BY seq").all();
  return rows.map(({ line }) => JSON.parse(new TextDecoder().decode(line as Uint8Array)));
}

/** The events of one container: `created`, `died 3`, and so on. */
function storyOf(lines: readonly Line[], name: string): string[] {
  return lines.filter((line) => line.containerName === name && String(line.type).startsWith("container."))
    .map(({ type, exitCode }) =>
      [String(type).slice("container.".length), exitCode].filter((word) => word !== undefined).join(" ")
    );
}

function taskStoryOf(lines: readonly Line[], taskId: string): string[] {
  return lines.filter((line) => line.taskId === taskId).map(({ type }) => String(type));
}

/** One test's engine and daemons. */
class Rig {
  readonly home: ApexHome;
  readonly driver: ContainerDriver;
  readonly #dir: string;
  readonly #socketPath: string;

  constructor(
    home: ApexHome,
    { driver, dir, socketPath }: { driver: ContainerDriver; dir: string; socketPath: string },
  ) {
    this.home = home;
    this.driver = driver;
    this.#dir = dir;
    this.#socketPath = socketPath;
  }

  startDaemon(): Promise<ApexProcess> {
    return this.home.startDaemon(["--engine", `unix://${this.#socketPath}`]);
  }

  async endDaemon(daemon: ApexProcess, signal: Deno.Signal): Promise<void> {
    daemon.kill(signal);
    await daemon[Symbol.asyncDispose]();
  }

  /** Starts a container that exits with this code when it is released; returns its id. */
  async run(name: string, exitCode: number): Promise<string> {
    const id = await this.driver.create({ name, ...this.#waiting(name, exitCode) });
    await this.driver.start(id);
    return id;
  }

  async exit(name: string, id: string): Promise<void> {
    await this.release(name);
    await this.driver.wait(id);
  }

  async release(name: string): Promise<void> {
    await Deno.writeTextFile(`${this.#dir}/${name}`, "");
  }

  /** Starts a task that exits with this code when it is released. Resolves when its container runs; its client then disconnects. */
  async runTask(taskId: string, exitCode: number): Promise<void> {
    const { Cmd } = this.#waiting(taskId, exitCode);
    const task = {
      taskId,
      image: "busybox:local",
      cmd: Cmd,
      network: "none",
      mounts: [{ source: this.#dir, target: this.#dir }],
    };
    using stream = await openStream(this.home.controlSocket, "tasks.run", { task }, { timeoutMs: 20_000 });
    for await (const { kind } of stream.frames) if (kind === "started") return;
    throw new Error(`task ${taskId} did not start`);
  }

  /** Creates a session without an attached client. */
  async createSession(name: string): Promise<void> {
    const options = ["--background", "--image", "busybox:local", "--network", "none"];
    const { code, stderr } = await this.home.apex(["attach", ...options, name, "--", "sleep", "600"]);
    assertEquals(code, 0, stderr);
  }

  #waiting(name: string, exitCode: number): { Cmd: string[]; HostConfig: Record<string, unknown> } {
    return {
      Cmd: ["sh", "-c", `until [ -e ${this.#dir}/${name} ]; do sleep 0.02; done; exit ${exitCode}`],
      HostConfig: { NetworkMode: "none", Binds: [`${this.#dir}:${this.#dir}`] },
    };
  }
}

for (const { name: engineName, ignore, start } of TEST_ENGINES) {
  Deno.test({
    name: `each change on ${engineName} is published once over all runs of the daemon`,
    ignore,
    fn: async () => {
      await using dir = await TempDir.make();
      await using engine = await start(dir);
      using driver = new ContainerDriver(engine.socketPath);
      await using home = await ApexHome.create();
      const rig = new Rig(home, { driver, dir: dir.path, socketPath: engine.socketPath });
      const before = await rig.run("before", 0);
      const codes = new Map<string, number>();
      const tasks = new Map<string, number>();
      let daemon = await rig.startDaemon();
      for (const [round, signal] of ENDS.entries()) {
        const code = (index: number): number => 10 * (round + 1) + index;
        const name = (what: string, index: number): string => {
          codes.set(`${what}-${round}`, code(index));
          return `${what}-${round}`;
        };
        const down = name("exits-while-down", 0);
        const removed = name("removed-while-down", 1);
        const amid = name("exits-amid", 2);
        const starts = name("starts-amid", 3);
        const task = `task-${round}`;
        tasks.set(task, code(4));
        const [downId, removedId, amidId] = await Promise.all([
          rig.run(down, code(0)),
          rig.run(removed, code(1)),
          rig.run(amid, code(2)),
          rig.runTask(task, code(4)),
          rig.createSession(`session-${round}`),
        ]);
        // The daemon ends in the middle of starts, exits and removals.
        const amidst = [
          rig.exit(amid, amidId).then(() => driver.remove(amidId)),
          rig.run(starts, code(3)),
        ] as const;
        await rig.release(task);
        await rig.endDaemon(daemon, signal);
        await rig.exit(down, downId);
        await rig.exit(removed, removedId);
        await driver.remove(removedId);
        await driver.kill(`apex-session-session-${round}`);
        const startsId = await amidst[1];
        await rig.exit(starts, startsId);
        daemon = await rig.startDaemon();
        await amidst[0];
        await driver.remove(downId);
        await driver.remove(startsId);
      }
      try {
        await rig.exit("before", before);
        for (const taskId of tasks.keys()) {
          await eventually(
            () => taskStoryOf(published(home), taskId).includes("workspace.cleaned"),
            `the end of ${taskId}`,
          );
        }
        for (const round of ENDS.keys()) {
          const container = `apex-session-session-${round}`;
          await eventually(
            () => storyOf(published(home), container).includes("removed 137"),
            `the removal of ${container}`,
          );
        }
        // The last change serves as a fence: all events before it are published.
        await driver.remove(before);
        await eventually(
          () => storyOf(published(home), "before").length >= 2,
          "the removal of the last container",
        );
        await request(home.controlSocket, "containers.list", {});
      } finally {
        await rig.endDaemon(daemon, "SIGTERM");
      }
      const lines = published(home);
      assertEquals(storyOf(lines, "before"), ["died 0", "removed 0"]);
      for (const [name, code] of codes) {
        assertEquals(storyOf(lines, name), ["created", "started", `died ${code}`, `removed ${code}`], name);
      }
      for (const [taskId, code] of tasks) {
        assertEquals(storyOf(lines, `apex-task-${taskId}`), [
          "created",
          "started",
          `died ${code}`,
          `removed ${code}`,
        ], taskId);
        assertEquals(taskStoryOf(lines, taskId), [
          "task.created",
          "container.created",
          "workspace.created",
          "container.started",
          "task.started",
          "container.died",
          "task.failed",
          "container.removed",
          "workspace.cleaned",
        ]);
      }
      // Checked first, because it explains additional events in the stories below.
      assertEquals(lines.filter(({ type }) => type === "container.operation_failed"), []);
      for (const change of ["created", "attached", "detached", "removed"]) {
        const count = lines.filter(({ type }) => type === `session.${change}`).length;
        assertEquals(count, ENDS.length, `session.${change}`);
      }
      for (const round of ENDS.keys()) {
        const story = storyOf(lines, `apex-session-session-${round}`);
        assertEquals(story, ["created", "started", "died 137", "removed 137"], `session-${round}`);
      }
    },
  });
}
