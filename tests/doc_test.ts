/** Keeps the documentation of the embedding API from getting worse. */
import { assertLessOrEqual } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

/** Complaints of `deno doc --lint` about the embedding API. Lower it when it gets better. */
const MAX_COMPLAINTS = 198;

Deno.test("deno doc --lint complains no more than before", async () => {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", "src/orchestrator/mod.ts"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  const complaints = new TextDecoder().decode(stderr).match(/^error\[/gm) ?? [];
  assertLessOrEqual(complaints.length, MAX_COMPLAINTS, "run: deno doc --lint src/orchestrator/mod.ts");
});
