/** Sessions from end to end: the real program, in real terminals (of tmux) and with pipes. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { eventually } from "../support/daemons/apex_process.ts";
import { dockerAvailable } from "../support/engines/docker_engine.ts";
import { podmanAvailable } from "../support/engines/podman_engine.ts";
import { type SessionEngine, SessionRig } from "../support/sessions/session_rig.ts";
import { type TestTerminal, tmuxAvailable } from "../support/sessions/tmux.ts";

const ENGINES: readonly SessionEngine[] = [
  "embedded",
  ...(await dockerAvailable() ? ["docker" as const] : []),
  // For the compiled binary one real engine is enough, because it is the same program.
  ...(Deno.env.get("APEX_BIN") === undefined && await podmanAvailable() ? ["podman" as const] : []),
];
const ignore = !await tmuxAvailable();

/** Output with colours, wide characters, and mouse modes. */
const PICTURE = "printf '\\033[H\\033[2J\\033[1;31mred\\033[0m \\346\\227\\245\\346\\234\\254 " +
  "\\033[44mblue\\033[0m\\nline\\n\\033[?1000h\\033[?1006h'";

/** Detaches with the default keys. */
async function leave(terminal: TestTerminal): Promise<void> {
  await terminal.press("C-Space", "C-q");
  await terminal.until(/status=0/);
}

for (const kind of ENGINES) {
  Deno.test({
    name: `a session on ${kind} looks the same after a detach and another attach`,
    ignore,
    async fn() {
      await using rig = await SessionRig.start(kind);
      using events = await rig.events();
      const first = await rig.terminal();
      const settings = await first.settings();
      await rig.attach(first, "dev");
      assertNotEquals(await first.settings(), settings);
      await first.type("echo $((6 * 7)) $APEX_SESSION_NAME; busybox stty size");
      await first.until(/42 dev\n24 80\n/);
      await first.resize({ columns: 60, rows: 20 });
      await eventually(async () => {
        await first.type("busybox stty size");
        return /20 60/.test(await first.text());
      }, "the program inside sees the new size");
      await first.type(PICTURE);
      const drawn = await first.settled(/red .*blue.*\n.*line/);
      await leave(first);
      assertMatch(await first.text(), /apex: detached from session dev\n/);
      assertEquals(await first.settings(), settings);
      assertEquals((await rig.session("dev"))?.status, "detached");

      const second = await rig.terminal({ columns: 60, rows: 20 });
      await rig.attach(second, "dev");
      await second.untilLook(drawn);
      await second.type("exit 7");
      await second.until("status=7");
      assertEquals(await second.settings(), settings);
      assertEquals(await rig.list(), []);
      await rig.untilLeft([]);
      assertEquals(await rig.sessionEvents(events), [
        "created",
        "attached",
        "detached",
        "attached",
        "removed",
      ]);
      const past = await rig.home.apex(["history", "--type", "session.*", "--json"]);
      assertEquals(
        past.stdout.trimEnd().split("\n").map((line) => JSON.parse(line)).map((
          { type, session, timestamp },
        ) => [
          type,
          session,
          new Date(timestamp).toISOString() === timestamp,
        ]),
        ["created", "attached", "detached", "attached", "removed"].map((
          change,
        ) => [`session.${change}`, "dev", true]),
      );
    },
  });

  Deno.test({
    name: `a full-screen program on ${kind} looks the same after the daemon was killed`,
    ignore,
    async fn() {
      await using rig = await SessionRig.start(kind);
      const terminal = await rig.terminal();
      const settings = await terminal.settings();
      await rig.attach(terminal, "ed");
      await terminal.type("busybox vi /tmp/none");
      await terminal.until(/~\n~/);
      await terminal.type("isome text");
      await terminal.press("second", "Escape");
      const before = await terminal.settled(/some text\nsecond/);
      await leave(terminal);
      assertEquals(await terminal.settings(), settings);
      await terminal.type(`clear; ${rig.attachLine("ed")}`);
      await terminal.untilLook(before);

      await rig.killDaemon();
      await terminal.until("lost the daemon");
      // The waiting client must send the new size when it has attached again.
      await terminal.resize({ columns: 70, rows: 22 });
      await rig.startDaemon();
      await eventually(async () => (await rig.session("ed"))?.status === "attached", "attached again");
      await terminal.until(/^some text\nsecond\n(~\n){19}- \/tmp\/none .*$/);
      await terminal.type(":q!");
      await terminal.until(/^inside>$/m);
      // The screen of vi is replaced by the screen before it.
      assert(!/some text|~/.test(await terminal.text()));
      // Right after the restart the terminal has another size for a moment, which makes vi redraw its screen.
      await eventually(async () => {
        await terminal.type("busybox stty size");
        return /22 70/.test(await terminal.text());
      }, "the program inside sees the new size");
      await terminal.type("exit 3");
      await terminal.until("status=3");
      assertEquals(await terminal.settings(), settings);
      await rig.untilLeft([]);
    },
  });

  Deno.test({
    name: `a prompt on ${kind} is restored after the daemon was killed`,
    ignore,
    async fn() {
      await using rig = await SessionRig.start(kind);
      const terminal = await rig.terminal();
      await rig.attach(terminal, "dev");
      await terminal.type("echo one");
      await terminal.until(/^inside> echo one\none\ninside>$/m);
      const before = await terminal.settled("inside>");
      await leave(terminal);
      await rig.killDaemon();
      await rig.startDaemon();
      await terminal.type(`clear; ${rig.attachLine("dev")}`);
      await terminal.untilLook(before);
    },
  });

  // The rest depends less on the engine: two engines are enough.
  if (kind === "podman") continue;

  Deno.test({
    name: `the terminal is restored however the client of a session on ${kind} ends`,
    ignore,
    async fn(t) {
      await using rig = await SessionRig.start(kind);
      const terminal = await rig.terminal();
      const settings = await terminal.settings();
      const restored = async () => await terminal.settings() === settings;
      const modesOn = "printf '\\033[?1000h\\033[?1049h\\033[?25l\\033[?2004hdrawn\\n'";
      const areOff = async () => /\d+x\d+ \d+,\d+ 1 0 0 0 1 0 0 0 0 0 0 0-23\n/.test(await terminal.look());
      const modesOff = async () => assert(await areOff(), await terminal.look());
      const unusualStateOn =
        "printf '\\033[5;12r\\033[4h\\033[31;4m\\033[?6h\\033[5 q\\033[2Jdrawn\\n\\033(0'; busybox sleep 1000";

      await terminal.type("clear");
      const blank = await terminal.settled(/^outside>$/);
      await t.step("the detach keys", async () => {
        await rig.attach(terminal, "plain");
        await leave(terminal);
        assertMatch(
          await terminal.text(),
          /^inside>\napex: detached from session plain\nstatus=0\noutside>$/m,
        );
        await rig.attach(terminal, "unusual");
        await terminal.type(unusualStateOn);
        await terminal.until(/drawn$/m);
        await leave(terminal);
        assertEquals(await terminal.settings(), settings);
        await modesOff();
        await terminal.type("clear");
        await terminal.untilLook(blank);
        assertEquals((await rig.home.apex(["kill", "plain", "unusual"])).code, 0);
      });
      await t.step("SIGTERM of the client", async () => {
        await rig.attach(terminal, "a");
        await terminal.type(modesOn);
        await terminal.until(/drawn$/m);
        Deno.kill((await rig.session("a"))!.attachedPid!, "SIGTERM");
        await terminal.until("status=143");
        assertEquals(await terminal.settings(), settings);
        await modesOff();
      });
      await t.step("SIGKILL of the client", async () => {
        for (const modes of [modesOn, unusualStateOn]) {
          await rig.attach(terminal, "b");
          await terminal.type(modes);
          await terminal.until(/drawn$/m);
          Deno.kill((await rig.session("b"))!.attachedPid!, "SIGKILL");
          // The shell's prompt may appear before that.
          await eventually(async () => await restored() && await areOff(), "the terminal is as it was");
          await terminal.type("clear");
          await terminal.untilLook(blank);
          await eventually(async () => (await rig.session("b"))?.status === "detached", "detached");
          await rig.home.apex(["kill", "b"]);
        }
        await rig.attach(terminal, "b");
        Deno.kill((await rig.session("b"))!.attachedPid!, "SIGKILL");
        await terminal.until(/^inside>[^]*status=137\s+outside>$/m);
        await eventually(restored, "the terminal is as it was");
        await eventually(async () => (await rig.session("b"))?.status === "detached", "detached");
      });
      await t.step("a forced attach of another client", async () => {
        await rig.attach(terminal, "c");
        const other = await rig.terminal();
        await other.type(`clear; ${rig.attachLine("c")}`);
        const { attachedPid } = (await rig.session("c"))!;
        await other.until(/already attached \(pid \d+\); use\s+--force\nstatus=125/);
        assert((await other.text()).replaceAll("\n", "").includes(`(pid ${attachedPid})`));
        await rig.attach(other, "c", "-f");
        await terminal.until(/apex: detached from session c: another client attached with --force\nstatus=0/);
        assertEquals(await terminal.settings(), settings);
        await other.type("exit");
        await other.until("status=0");
      });
      await t.step("the end of the session", async () => {
        await rig.attach(terminal, "d");
        assertEquals((await rig.home.apex(["kill", "d"])).code, 0);
        await terminal.until(/apex: session d was killed\nstatus=129$/m);
        assertEquals(await terminal.settings(), settings);
      });
      await t.step("the end of the daemon, and Ctrl-C", async () => {
        await rig.attach(terminal, "e");
        await terminal.type(modesOn);
        await terminal.until(/drawn$/m);
        await rig.killDaemon();
        await terminal.until("(Ctrl-C gives up)");
        await terminal.press("C-c");
        await terminal.until("status=130");
        assertEquals(await terminal.settings(), settings);
        await modesOff();
      });
      await t.step("the end of the daemon, and the detach keys", async () => {
        await rig.startDaemon();
        await rig.attach(terminal, "f");
        await rig.stopDaemon();
        await terminal.until("(Ctrl-C gives up)");
        await leave(terminal);
        assertEquals(await terminal.settings(), settings);
      });
      await t.step("the end of the daemon, and then of the session", async () => {
        await rig.startDaemon();
        await rig.attach(terminal, "g");
        const { containerId } = (await rig.session("g"))!;
        await rig.killDaemon();
        await terminal.until("(Ctrl-C gives up)");
        await rig.engine.kill(containerId, { signal: "SIGKILL" });
        await rig.engine.wait(containerId);
        await rig.startDaemon();
        await terminal.until(
          /apex: session g ended while no daemon was connected; .* is unknown\nstatus=125/,
        );
        assertEquals(await terminal.settings(), settings);
        // The other sessions continue without a client.
        await rig.untilLeft(["a", "b", "e", "f"]);
        assertEquals((await rig.list()).map(({ name }) => name).sort(), ["a", "b", "e", "f"]);
      });
    },
  });
}

for (const kind of ENGINES) {
  Deno.test(`apex attach on ${kind} works with pipes, in the background, and with a time to live`, async () => {
    await using rig = await SessionRig.start(kind);
    using events = await rig.events();
    assertEquals(await rig.attachPiped(["-b", "bg", "--", "cat"]), { code: 0, stdout: "", stderr: "" });
    const ignored = "apex: session bg already exists; ignored options that apply only to a new session: ";
    const { code: status, stderr: warning } = await rig.attachPiped(["-b", "bg", "--image", "x", "--", "ls"]);
    assertEquals(status, 0);
    assertMatch(warning, new RegExp(`^${ignored}--image, (--network, )?--env, the command\n$`));
    assertEquals(await rig.home.apex(["attach", "-b", "bg"]), { code: 0, stdout: "", stderr: "" });
    const [session] = JSON.parse((await rig.home.apex(["list", "--json"])).stdout);
    assertEquals([session.name, session.status, session.image], ["bg", "detached", rig.image]);
    const { stdout: table } = await rig.home.apex(["list"]);
    assertMatch(table, new RegExp(`^bg +detached +${rig.image} +\\S+ +\\S+ ago +-$`, "m"));

    // Piped input is typed into the session, and its end does not end the session.
    const piped = rig.pipe("echo 'echo one-$((40 + 2)); exit 5' | apex attach $ARGS pipe -- sh");
    await using _piped = piped;
    const { code, stdout, stderr } = await piped.finished();
    assertEquals([code, stderr], [5, ""]);
    assertMatch(stdout, /one-42\r\n/);

    await using timed = rig.spawnAttach(["--ttl", "1s500ms", "timed", "--", "sleep", "600"]);
    await eventually(async () => (await rig.session("timed")) !== undefined, "the session exists");
    const { createdAt, expiresAt } = (await rig.session("timed"))!;
    assertEquals(Date.parse(expiresAt!) - Date.parse(createdAt), 1_500);
    const end = await timed.finished();
    assertEquals(end.stderr, "apex: session timed has reached the end of its lifetime (--ttl)\n");
    assert(end.code > 128);
    assertEquals((await rig.home.apex(["kill", "bg"])).code, 0);
    await rig.untilLeft([]);
    assertEquals(await rig.sessionEvents(events), [
      ...["created", ...Array(3).fill(["attached", "detached"]).flat()], // bg, three times
      ...["created", "attached", "removed"], // pipe
      ...["created", "attached", "removed"], // timed
      "removed", // bg
    ]);
  });

  // As above, two engines are enough.
  if (kind === "podman") continue;

  Deno.test(`apex detach and apex kill on ${kind} report unknown sessions and handle the others`, async () => {
    await using rig = await SessionRig.start(kind);
    using events = await rig.events();
    await using one = rig.spawnAttach(["one", "--", "sh", "-c", "echo up; exec cat"]);
    await eventually(() => one.stdoutSoFar.includes("up"), "it is attached");
    assertEquals((await rig.attachPiped(["-b", "two", "--", "cat"])).code, 0);
    const noSuch = (what: string, name: string) =>
      `apex: cannot ${what} session "${name}": no such session (see: apex list)\n`;

    assertEquals(await rig.home.apex(["detach", "unknown", "one", "none"]), {
      code: 4,
      stdout: "",
      stderr: noSuch("detach", "unknown") + noSuch("detach", "none"),
    });
    assertEquals((await one.finished()).code, 0);
    const idle = await rig.home.apex(["detach", "one"]);
    assertEquals(idle.code, 5);
    assertMatch(idle.stderr, /^apex: cannot detach session "one": no client is attached .*\n$/);
    assertEquals((await rig.home.apex(["kill"])).code, 2);
    const own = { env: { APEX_SESSION_NAME: "two" } };
    assertEquals(await rig.home.apex(["kill"], own), { code: 0, stdout: "", stderr: "" });
    assertEquals(await rig.home.apex(["kill", "one", "two"]), {
      code: 4,
      stdout: "",
      stderr: noSuch("kill", "two"),
    });
    await rig.untilLeft([]);
    assertEquals(
      await rig.sessionEvents(events),
      ["created", "attached", "created", "attached", "detached", "detached", "removed", "removed"],
    );
    const removals = events.lines.map((line) => JSON.parse(line)).filter(({ type }) =>
      type === "container.removed"
    );
    assertEquals(removals.map(({ forced }) => forced), [false, false]);
  });

  Deno.test(`apex attach on ${kind} exits with 125 for invalid arguments, and creates nothing`, async () => {
    await using rig = await SessionRig.start(kind);
    using events = await rig.events();
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["a b"], /invalid session name "a b"/],
      [["-b", "x".repeat(65)], /invalid session name/],
      [["--ttl", "soon", "x"], /--ttl: invalid duration "soon"/],
      [["--ttl", "0s", "x"], /--ttl: "0s"/],
      [["--detach-keys", "Ctrl-9", "x"], /"Ctrl-9"/],
      [["--cmd", "sh 'x", "x"], /has an unclosed '/],
      [["--cmd", "sh", "x", "--", "sh"], /--cmd/],
      [["--restore", "all", "x"], /--restore: invalid restore mode "all"/],
      [["-v", "not-a-mount", "x"], /not-a-mount/],
      [["--no-init", "x", "--", "/no/such/program"], /\/no\/such\/program/],
      ...(kind === "docker" ? [[["--image", "no-such-image:1", "x"], /no-such-image:1/] as const] : []),
    ];
    for (const [args, message] of cases) {
      const { code, stderr, stdout } = await rig.attachPiped(args);
      assertEquals([code, stdout], [125, ""], args.join(" "));
      assertMatch(stderr, message);
      assertMatch(stderr, /^apex: [^\n]+\n$/);
    }
    assertEquals(await rig.list(), []);
    assertEquals(await rig.containers(), []);
    assertEquals(await rig.sessionEvents(events), []);
  });
}

Deno.test(
  "detach keys can be configured, and given on the command line",
  { ignore },
  async () => {
    await using rig = await SessionRig.start("embedded", 'detach_keys = "Ctrl-] d"\n');
    const terminal = await rig.terminal();
    await rig.attach(terminal, "keys");
    await terminal.press("C-Space", "C-q", "C-]", "Enter");
    await terminal.type("echo one");
    // Input that is typed before the prompt is echoed before it.
    await terminal.until(/^(inside> )?one$/m);
    await terminal.press("C-]", "d");
    await terminal.until("status=0");
    await rig.attach(terminal, "keys", "--detach-keys Ctrl-x");
    await terminal.press("C-x");
    await terminal.until("status=0");
    assertEquals((await rig.session("keys"))?.status, "detached");
  },
);

Deno.test("among 50 sessions, one that floods and one whose client is stopped do not slow down the others", async () => {
  await using rig = await SessionRig.start("embedded");
  await using clients = new AsyncDisposableStack();
  const attach = (name: string, command: string) => {
    const client = rig.attachOver(name, ["sh", "-c", command]);
    return client.then((attached) => clients.use(attached));
  };
  const quiet = [];
  for (let n = 0; n < 48; n++) quiet.push(await attach(`quiet-${n}`, "exec cat"));
  const flood = await attach("flood", "exec yes");
  void flood.drain();
  await using stopped = rig.spawnAttach(["stopped", "--", "yes"]);
  await eventually(() => stopped.stdoutSoFar.length > 0, "it is attached");
  stopped.kill("SIGSTOP");
  try {
    for (const client of quiet.slice(0, 10)) {
      assert(await client.echoMs("ping") < QUICK_MS);
    }
    const startMs = performance.now();
    assertEquals((await rig.list()).length, 50);
    assert(performance.now() - startMs < QUICK_MS, "list is quick");
    // The stopped client reads nothing, so its session continues without it.
    await eventually(async () => (await rig.session("stopped"))?.status === "detached", "it was dropped");
    assertEquals((await rig.home.apex(["kill", "stopped", "flood"])).code, 0);
    assertEquals((await rig.list()).length, 48);
    assert(await quiet[47]!.echoMs("pong") < QUICK_MS);
  } finally {
    stopped.kill("SIGCONT");
  }
  const { code, stderr } = await stopped.finished();
  assertEquals(code, 125);
  assertMatch(stderr, /did not read the session's output; session stopped continues/);
});

/** A delay that a person would hardly notice, on a busy machine. */
const QUICK_MS = 1_000;
