import { assertEquals, assertRejects } from "@std/assert";
import { workspaces, workspacesClean } from "../../../src/cli/commands/workspaces.ts";
import type { Input } from "../../../src/cli/standard_streams.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import { resolveSockets } from "../../../src/platform/directories.ts";
import type { WorkspaceResult } from "../../../src/protocol/task_operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { TempDir } from "../../support/temp_dir.ts";

const OWNED: WorkspaceResult = {
  taskId: "t1",
  containerId: "1".repeat(64),
  containerName: "apex-task-t1",
  state: "running",
  workspacePath: "/home/me/project",
  orphaned: false,
  createdAt: "2024-12-31T23:00:00.000Z",
};
const ORPHAN: WorkspaceResult = {
  taskId: "lost",
  containerId: "2".repeat(64),
  containerName: "apex-task-lost",
  state: "exited",
  orphaned: true,
};
const OTHER_ORPHAN: WorkspaceResult = {
  ...ORPHAN,
  taskId: "x",
  containerName: "apex-task-x",
  containerId: "3".repeat(64),
};

const FOREIGN: WorkspaceResult = {
  taskId: "theirs",
  instance: "fedcba9876543210",
  containerId: "4".repeat(64),
  containerName: "apex-task-theirs",
  state: "running",
  orphaned: false,
  foreign: true,
};
const UNNAMED: WorkspaceResult = {
  taskId: "old",
  containerId: "5".repeat(64),
  containerName: "apex-task-old",
  state: "exited",
  orphaned: false,
  foreign: true,
};

interface Rig {
  readonly list: WorkspaceResult[];
  /** The answer at the terminal; undefined: stdin is not a terminal. */
  readonly answer?: string | null;
  /** Ids that the daemon cannot remove. */
  readonly stuck?: string[];
}

type Verb = (
  context: ReturnType<typeof testContext>,
  sockets: ReturnType<typeof resolveSockets>,
) => Promise<number | void>;

async function outcome(
  { list, answer, stuck = [] }: Rig,
  verb: Verb,
): Promise<{ status: number; stdout: string; stderr: string; removed: string[] | undefined }> {
  await using dir = await TempDir.make();
  let removed: string[] | undefined;
  await using _daemon = new ScriptedDaemon(dir.join("apex.socket"), {
    "workspaces.list": (connection, request) => {
      const all = request.op === "workspaces.list" && request.all === true;
      return connection.reply({ workspaces: list.filter(({ foreign }) => all || !foreign) });
    },
    "workspaces.clean": async (connection, request) => {
      const all = list.flatMap(({ orphaned, containerId }) => orphaned && containerId ? [containerId] : []);
      removed = request.op === "workspaces.clean" ? request.names ?? all : [];
      const failed = removed.filter((id) => stuck.includes(id)).map((name) => ({
        name,
        error: "it is busy",
      }));
      const names = list.filter(({ containerId = "" }) =>
        removed?.includes(containerId) && !stuck.includes(containerId)
      )
        .map(({ containerName }) => containerName);
      await connection.reply({ removed: names, failed });
    },
  });
  const stderr = new CapturedOutput();
  const context = testContext({
    stdout: new CapturedOutput(),
    stderr,
    ...(answer !== undefined && { stdin: answering(answer) }),
  });
  const sockets = resolveSockets({ env: () => undefined, cwd: "/", socket: dir.join("apex.socket") });
  const status = await verb(context, sockets) ?? 0;
  return { status, stdout: context.stdout.text, stderr: stderr.text, removed };
}

function answering(answer: string | null): Input {
  return {
    isTerminal: true,
    isPiped: () => Promise.resolve(false),
    read: () => Promise.resolve(null),
    readLine: () => Promise.resolve(answer),
  };
}

const clean = (names: string[] = [], yes = false, instance?: string): Verb => (context, sockets) =>
  workspacesClean(context, { sockets, names, yes, instance });

Deno.test("workspaces() prints a table that marks orphans", async () => {
  const { stdout } = await outcome(
    { list: [OWNED, ORPHAN] },
    (context, sockets) => workspaces(context, { sockets, json: false, all: false }),
  );
  assertEquals(
    stdout,
    `\
TASK  CONTAINER       STATE    OWNER          DIRECTORY         AGE
t1    apex-task-t1    running  task           /home/me/project  1h
lost  apex-task-lost  exited   none (orphan)  -                 -
`,
  );
});

Deno.test("workspaces() with --all adds those of other instances, and a column INSTANCE", async () => {
  const { stdout } = await outcome(
    { list: [{ ...OWNED, instance: "0123456789abcdef" }, FOREIGN, UNNAMED] },
    (context, sockets) => workspaces(context, { sockets, json: false, all: true }),
  );
  assertEquals(
    stdout,
    `\
TASK    CONTAINER         STATE    OWNER  INSTANCE          DIRECTORY         AGE
t1      apex-task-t1      running  task   0123456789abcdef  /home/me/project  1h
theirs  apex-task-theirs  running  other  fedcba9876543210  -                 -
old     apex-task-old     exited   other  -                 -                 -
`,
  );
});

Deno.test("workspaces() with --json prints the daemon's reply", async () => {
  const list = [OWNED, ORPHAN];
  const { stdout } = await outcome(
    { list },
    (context, sockets) => workspaces(context, { sockets, json: true, all: false }),
  );
  assertEquals(JSON.parse(stdout), list);
});

Deno.test("workspacesClean() requires --yes without a terminal", async () => {
  const error = await assertRejects(() => outcome({ list: [ORPHAN] }, clean()), ApexError, "--yes");
  assertEquals(error.code, "usage");
});

Deno.test("workspacesClean() with --yes removes only orphans, and prints their names", async () => {
  assertEquals(await outcome({ list: [OWNED, ORPHAN] }, clean([], true)), {
    status: 0,
    stdout: "apex-task-lost\n",
    stderr: "",
    removed: [ORPHAN.containerId!],
  });
});

Deno.test("workspacesClean() asks at a terminal, and accepts only 'y' or 'yes'", async () => {
  const yes = await outcome({ list: [OWNED, ORPHAN], answer: " Yes" }, clean());
  assertEquals([yes.removed, yes.stdout], [[ORPHAN.containerId!], "apex-task-lost\n"]);
  assertEquals(
    yes.stderr,
    "  apex-task-lost (exited, task lost)\nRemove this container with all data inside? [y/N] ",
  );
  for (const answer of ["", "n", "yesterday", null]) {
    const no = await outcome({ list: [OWNED, ORPHAN], answer }, clean());
    assertEquals([no.removed, no.stdout, no.status], [undefined, "", 0]);
  }
});

Deno.test("workspacesClean() accepts names and ids of containers, and ids of tasks", async () => {
  const list = [OWNED, ORPHAN, OTHER_ORPHAN];
  for (const name of ["apex-task-x", "x", OTHER_ORPHAN.containerId!, "3333"]) {
    const { removed } = await outcome({ list }, clean([name], true));
    assertEquals(removed, [OTHER_ORPHAN.containerId!]);
  }
});

Deno.test("workspacesClean() reports a name that matches no orphan, removes the others, and returns 4", async () => {
  const result = await outcome({ list: [OWNED, ORPHAN] }, clean(["t1", "lost"], true));
  assertEquals([result.status, result.removed], [4, [ORPHAN.containerId!]]);
  assertEquals(
    result.stderr,
    'apex: cannot remove "t1": no such orphaned or kept workspace (see: apex workspaces)\n',
  );
});

Deno.test("workspacesClean() returns 1 when a container could not be removed", async () => {
  const result = await outcome(
    { list: [ORPHAN, OTHER_ORPHAN], stuck: [ORPHAN.containerId!] },
    clean([], true),
  );
  assertEquals([result.status, result.stdout], [1, "apex-task-x\n"]);
  assertEquals(result.stderr, `apex: cannot remove ${ORPHAN.containerId}: it is busy\n`);
});

Deno.test("workspacesClean() reports that there are no orphans", async () => {
  const result = await outcome({ list: [OWNED] }, clean([], true));
  assertEquals([result.status, result.removed, result.stderr], [
    0,
    undefined,
    "apex: no workspaces to remove\n",
  ]);
});

Deno.test("workspacesClean() with --instance removes only containers of that instance, by their ids", async () => {
  const list = [OWNED, ORPHAN, FOREIGN, UNNAMED];
  const all = await outcome({ list }, clean([], true, FOREIGN.instance));
  assertEquals([all.status, all.removed, all.stdout], [0, [FOREIGN.containerId!], "apex-task-theirs\n"]);
  const unnamed = await outcome({ list }, clean([], true, "-"));
  assertEquals(unnamed.removed, [UNNAMED.containerId!]);
  const named = await outcome({ list }, clean(["lost", "theirs"], true, FOREIGN.instance));
  assertEquals([named.status, named.removed], [4, [FOREIGN.containerId!]]);
  assertEquals(
    named.stderr,
    `apex: cannot remove "lost": no such workspace of instance ${FOREIGN.instance} ` +
      "(see: apex workspaces --all)\n",
  );
});

Deno.test("workspacesClean() with --instance removes only orphans of the daemon's own instance", async () => {
  const instance = "0123456789abcdef";
  const list = [OWNED, ORPHAN].map((workspace) => ({ ...workspace, instance }));
  const { removed } = await outcome({ list: [...list, FOREIGN] }, clean([], true, instance));
  assertEquals(removed, [ORPHAN.containerId!]);
});

Deno.test("workspacesClean() with --instance warns that the containers may be in use before it asks", async () => {
  const { stderr, removed } = await outcome(
    { list: [FOREIGN], answer: "n" },
    clean([], false, FOREIGN.instance),
  );
  assertEquals(removed, undefined);
  assertEquals(
    stderr,
    `Another apex instance created these containers, and may still run their tasks:
  apex-task-theirs (running, task theirs)
Remove this container with all data inside? [y/N] apex: nothing was removed
`,
  );
});

Deno.test("workspacesClean() without --instance does not remove a container of another instance by name", async () => {
  const { status, removed } = await outcome({ list: [OWNED, FOREIGN] }, clean(["theirs"], true));
  assertEquals([status, removed], [4, undefined]);
});

Deno.test("workspacesClean() with --instance reports an instance without containers", async () => {
  const { status, stderr } = await outcome({ list: [OWNED, ORPHAN] }, clean([], true, "0".repeat(16)));
  assertEquals([status, stderr], [
    0,
    "apex: no workspaces to remove of instance 0000000000000000 (see: apex workspaces --all)\n",
  ]);
});
