import { assertEquals } from "@std/assert";
import { TestEngine } from "../../support/engines/embedded_engine.ts";

/** `2026-01-01T00:00:00.000000001Z` in the form of `since` and `until`. */
function seconds(logTime: string): string {
  const [whole = "", nano = ""] = logTime.slice(0, -1).split(".");
  return `${Date.parse(`${whole}Z`) / 1_000}.${nano}`;
}

Deno.test("logs are selected by stream, tail, since and until", async (t) => {
  await using engine = await TestEngine.start();
  // Two pipes have no order, so stderr gets its line once those of stdout are in the log.
  const id = await engine.run(
    "printf '1\\n2\\n3\\n4\\n'; while [ ! -e go ]; do sleep 0.01; done; echo e >&2",
  );
  while ((await engine.logs(id)).stdout !== "1\n2\n3\n4\n");
  await Deno.writeTextFile(`${engine.dir}/e/containers/${id}/home/go`, "");
  await engine.wait(id);
  const stamped = (await engine.logs(id, "stdout=1&timestamps=1")).stdout.trimEnd().split("\n");
  const times = stamped.map((line) => seconds(line.split(" ")[0]!));
  assertEquals(stamped.map((line) => line.split(" ")[1]), ["1", "2", "3", "4"]);

  const [, second, third] = times;
  const SHOWN: readonly (readonly [string, string, string])[] = [
    ["stdout=1", "1\n2\n3\n4\n", ""],
    ["stderr=1", "", "e\n"],
    ["stdout=1&stderr=1", "1\n2\n3\n4\n", "e\n"],
    ["stdout=1&tail=2", "3\n4\n", ""],
    ["stdout=1&tail=0", "", ""],
    ["stdout=1&tail=9", "1\n2\n3\n4\n", ""],
    ["stdout=1&tail=all", "1\n2\n3\n4\n", ""],
    ["stdout=1&tail=-1", "1\n2\n3\n4\n", ""],
    ["stdout=1&stderr=1&tail=2", "4\n", "e\n"], // The tail of both streams together.
    [`stdout=1&since=${second}`, "2\n3\n4\n", ""],
    [`stdout=1&until=${third}`, "1\n2\n3\n", ""],
    [`stdout=1&since=${second}&until=${third}`, "2\n3\n", ""],
    [`stdout=1&until=${third}&tail=1`, "3\n", ""],
    [`stdout=1&since=${third}&tail=9`, "3\n4\n", ""],
    ["stdout=1&since=9999999999", "", ""],
    ["stdout=1&follow=1&tail=1", "4\n", ""], // The container has exited, so following ends.
  ];
  for (const [query, stdout, stderr] of SHOWN) {
    await t.step(query, async () => assertEquals(await engine.logs(id, query), { stdout, stderr }));
  }
});
