/** Checks the documentation of the embedding API. */
import { assertLessOrEqual } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** The number of problems that `deno doc --lint` may report. Lower it when there are fewer. */
const MAX_COMPLAINTS = 186;

Deno.test("deno doc --lint reports no more problems than before", async () => {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "src/orchestrator/mod.ts"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  const complaints = new TextDecoder().decode(stderr).match(/^error\[/gm) ?? [];
  assertLessOrEqual(complaints.length, MAX_COMPLAINTS, "run: deno doc --lint src/orchestrator/mod.ts");
});
