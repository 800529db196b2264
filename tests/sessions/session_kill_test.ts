/** A killed session ends like programs in a terminal that is closed, and at last by SIGKILL. */
import { assert, assertEquals } from "@std/assert";
import { dockerAvailable, startDocker } from "../support/engines/docker_engine.ts";
import { TestEngine } from "../support/engines/embedded_engine.ts";
import { SessionBed } from "../support/sessions/session_bed.ts";
import { within } from "../support/within.ts";

/** So long that a test that waited for it would fail. */
const LONG_GRACE_MS = 60_000;
const ENDS_WITHIN_MS = 10_000;
const SHORT_GRACE_MS = 3_000;

const untilDone = (signals: string): string => `${signals}; echo ready; while :; do sleep 0.1; done`;

/** Programs that end before the grace is over: a description, the command, its exit code, and input that is typed first. */
const PROGRAMS:
  readonly (readonly [what: string, cmd: readonly string[], exitCode: number, typed?: string])[] = [
    ["an idle shell", ["sh"], 129],
    ["a shell with a job in its foreground", ["sh"], 129, "echo rea''dy; sleep 600\n"],
    ["a program that saves at SIGHUP", ["sh", "-c", untilDone("trap 'exit 5' HUP")], 5],
    ["a program that ignores SIGHUP", ["sh", "-c", untilDone("trap '' HUP; trap 'exit 6' TERM")], 6],
  ];

async function kills(t: Deno.TestContext, socketPath: string): Promise<void> {
  for (const [what, cmd, exitCode, typed] of PROGRAMS) {
    await t.step(`${what} ends long before the grace is over`, async () => {
      await using bed = await SessionBed.open({ socketPath, killGraceMs: LONG_GRACE_MS });
      await using client = await bed.attach({ name: "dev", cmd });
      if (typed !== undefined) client.type(typed);
      await client.untilOutput(cmd.length > 1 || typed !== undefined ? "ready" : "# ");
      await within(ENDS_WITHIN_MS, `the end of ${what}`, bed.pool.kill("dev"));
      assertEquals(await client.untilLast(), { kind: "exit", value: { reason: "killed", exitCode } });
      assert(bed.of("dev").includes("stopped"), bed.log.join("\n"));
    });
  }

  await t.step("a program that ignores both signals is killed when the grace is over", async () => {
    await using bed = await SessionBed.open({ socketPath, killGraceMs: SHORT_GRACE_MS });
    await using client = await bed.attach({ name: "dev", cmd: ["sh", "-c", untilDone("trap '' HUP TERM")] });
    await client.untilOutput("ready");
    const startMs = performance.now();
    await within(SHORT_GRACE_MS + ENDS_WITHIN_MS, "the end", bed.pool.kill("dev"));
    assertEquals(await client.untilLast(), { kind: "exit", value: { reason: "killed", exitCode: 137 } });
    assert(performance.now() - startMs >= SHORT_GRACE_MS - 100, "it was killed before its grace was over");
  });
}

Deno.test("kill() ends a session on the embedded engine as if its terminal was closed", async (t) => {
  await using engine = await TestEngine.start();
  await kills(t, engine.socketPath);
});

Deno.test({
  name: "kill() ends a session on Docker as if its terminal was closed",
  ignore: !await dockerAvailable(),
  async fn(t) {
    await using docker = await startDocker();
    await kills(t, docker.socketPath);
  },
});
