/** `apex attach` in a pipe, with a scripted daemon. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { AttachFlags } from "../../../src/cli/args/attach_params.ts";
import { attach } from "../../../src/cli/commands/attach.ts";
import { StatusError } from "../../../src/cli/output/exit_status.ts";
import type { FrameKind } from "../../../src/protocol/frames.ts";
import type { ControlRequest } from "../../../src/protocol/operations.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { ScriptedDaemon } from "../../support/daemons/scripted_daemon.ts";
import { type Script, ScriptedServer } from "../../support/engines/scripted_server.ts";
import { TempDir } from "../../support/temp_dir.ts";

interface Attaching {
  readonly flags?: AttachFlags;
  readonly command?: readonly string[];
  /** The field of the daemon's reply. */
  readonly created?: boolean;
  /** The daemon's last frame. */
  readonly last?: readonly [FrameKind, unknown];
}

interface Attached {
  readonly stdout: string;
  readonly stderr: string;
  readonly request: Extract<ControlRequest, { op: "sessions.attach" }>;
  /** The exit status, or the message of the failure. */
  readonly outcome: number | string;
}

function homeIn({ path }: TempDir): (name: string) => string | undefined {
  return (name) => name === "HOME" ? path : undefined;
}

async function attached(
  { flags = {}, command = [], created = true, last = ["detach", { reason: "requested" }] }: Attaching,
): Promise<Attached> {
  await using dir = await TempDir.make();
  const socket = dir.join("apex.socket");
  await using daemon = new ScriptedDaemon(socket, {
    "sessions.attach": async (connection) => {
      await connection.reply({ name: "dev", created, containerId: "c1" });
      await connection.frame(...last);
    },
  });
  const [stdout, stderr] = [new CapturedOutput(), new CapturedOutput()];
  const context = testContext({ stdout, stderr, env: homeIn(dir) });
  const outcome = await attach(context, { flags: { ...flags, socket }, name: "dev", command }).catch(
    (error) => {
      if (!(error instanceof StatusError)) throw error;
      assertEquals(error.exitStatus, 125);
      return error.message;
    },
  );
  return {
    stdout: stdout.text,
    stderr: stderr.text,
    request: await daemon.received("sessions.attach"),
    outcome,
  };
}

Deno.test("attach() in a pipe requests no repaint unless --restore is given", async () => {
  assertEquals((await attached({})).request.restore, "none");
  assertEquals((await attached({ flags: { restore: "lines=3" } })).request.restore, "lines=3");
});

Deno.test("attach() to an existing session names the ignored options that apply only to a new session", async () => {
  const flags: AttachFlags = { image: "other", env: ["FOO=1"], ttl: "1h", mount: true, restore: "none" };
  const { outcome, stderr } = await attached({ flags, command: ["ls"], created: false });
  assertEquals(outcome, 0);
  assertEquals(
    stderr,
    "apex: session dev already exists; ignored options that apply only to a new session: " +
      "--ttl, --image, --env, --mount, the command\napex: detached from session dev\n",
  );
  const inBackground = await attached({ flags: { ...flags, background: true }, created: false });
  assertMatch(
    inBackground.stderr,
    /^apex: session dev already exists; .*: --ttl, --image, --env, --mount\n$/,
  );
});

Deno.test("attach() prints no note about options when they created the session, or none were given", async () => {
  const flags: AttachFlags = { image: "other", background: true };
  assertEquals((await attached({ flags })).stderr, "");
  const others: AttachFlags = { background: true, force: true, restore: "none", detachKeys: "Ctrl-x" };
  assertEquals((await attached({ flags: others, created: false })).stderr, "");
});

const ENDS: readonly (readonly [readonly [FrameKind, unknown], number | RegExp, RegExp])[] = [
  [
    ["detach", { reason: "silent" }],
    /^detached: the daemon received nothing from .* for 10 s; .*apex attach dev\)$/,
    /^$/,
  ],
  [["detach", { reason: "slow" }], /^detached: this terminal did not read the session's output; /, /^$/],
  [
    ["detach", { reason: "protocol", error: "what?" }],
    /^the daemon detached this client from session dev: what\?$/,
    /^$/,
  ],
  [["exit", { reason: "exit", exitCode: 137 }], 137, /^$/],
  [["exit", { reason: "removed", exitCode: 137 }], 137, /^apex: the container of session dev was removed\n$/],
];

for (const [last, expected, printed] of ENDS) {
  Deno.test(`attach() reports the last frame ${last[0]} ${JSON.stringify(last[1])}`, async () => {
    const { outcome, stderr } = await attached({ last });
    if (expected instanceof RegExp) assertMatch(String(outcome), expected);
    else assertEquals(outcome, expected);
    assertMatch(stderr, printed);
  });
}

/** What a daemon does that is killed during a request. */
const KILLED: Readonly<Record<string, Script>> = {
  "after it has read the request": async (conn) => void await conn.read(new Uint8Array(64 * 1024)),
  "while it reads the request": async (conn) => void await conn.read(new Uint8Array(1)),
};

for (const [when, script] of Object.entries(KILLED)) {
  Deno.test(`attach() explains what to do when the daemon is killed ${when}`, async () => {
    await using dir = await TempDir.make();
    const socket = dir.join("apex.socket");
    await using _ = new ScriptedServer(socket, script);
    const context = testContext({ stdout: new CapturedOutput(), env: homeIn(dir) });
    const error = await assertRejects(
      () => attach(context, { flags: { socket }, name: "dev", command: [] }),
      StatusError,
    );
    assertEquals(error.exitStatus, 125);
    assertMatch(
      error.message,
      /^lost the daemon before it answered; .*; try again: apex attach dev$/,
    );
  });
}

Deno.test("attach() requests labels, ports and variables from files, and reports them as ignored by an existing session", async () => {
  await using dir = await TempDir.make();
  const envFile = dir.join("env");
  await Deno.writeTextFile(envFile, "A=1\n");
  const flags = { label: ["a=1"], publish: ["8080:80"], envFile: [envFile] };
  const { request, stderr } = await attached({ flags, created: false });
  assertEquals([request.labels, request.ports, request.env], [
    { a: "1" },
    [{ containerPort: 80, protocol: "tcp", hostPort: 8080 }],
    { A: "1" },
  ]);
  assertMatch(stderr, /--env-file, --label, --publish/);
});
