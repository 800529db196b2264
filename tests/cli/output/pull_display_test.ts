import { assert, assertEquals } from "@std/assert";
import { PullDisplay } from "../../../src/cli/output/pull_display.ts";
import type { PullProgressPayload } from "../../../src/protocol/task_operations.ts";
import { CapturedOutput } from "../../support/daemons/cli_context.ts";

const MIB = 1024 * 1024;

function downloading(layer: string, currentMib: number, totalMib: number): PullProgressPayload {
  return {
    image: "busybox",
    status: "Downloading",
    layer,
    currentBytes: currentMib * MIB,
    totalBytes: totalMib * MIB,
  };
}

/** The drawings of the line, without the sequence that erases the one before. */
function drawings(text: string): string[] {
  return text.split("\r\x1b[K").slice(1);
}

Deno.test("PullDisplay redraws one line on a terminal, for all layers, and never moves the bar back", async () => {
  const output = new CapturedOutput({ isTerminal: true });
  const display = new PullDisplay(output);
  await display.update({ image: "busybox", status: "Pulling from library/busybox" });
  await display.update(downloading("a", 1, 4));
  await display.update(downloading("a", 2, 4));
  await display.update(downloading("b", 0, 4));
  await display.update({ image: "busybox", layer: "a", status: "Download complete" });
  await display.update({
    image: "busybox",
    layer: "a",
    status: "Extracting",
    currentBytes: 1,
    totalBytes: 4 * MIB,
  });
  await display.update({ image: "busybox", layer: "b", status: "Pull complete" });
  await display.clear();
  const drawn = drawings(output.text);
  assertEquals(drawn.map((line) => /(\d+)% of/.exec(line)?.[1]), [
    undefined,
    "25",
    "50",
    "50",
    "50",
    "50",
    "100",
    undefined,
  ]);
  assertEquals(drawn[0], "apex: pulling busybox Pulling from library/busybox");
  assertEquals(drawn[2], "apex: pulling busybox [############------------]  50% of 4.0 MiB");
  assertEquals(drawn.at(-1), "");
  assert(!output.text.includes("\n"));
});

Deno.test("PullDisplay cuts the line at the width of the terminal", async () => {
  const output = new CapturedOutput({ isTerminal: true, columns: 20 });
  await new PullDisplay(output).update(downloading("a", 1, 4));
  assertEquals(drawings(output.text), ["apex: pulling busyb"]);
});

Deno.test("PullDisplay prints each change of status once without a terminal", async () => {
  const output = new CapturedOutput();
  const display = new PullDisplay(output);
  await display.update({ image: "busybox", status: "Pulling from library/busybox" });
  await display.update(downloading("a", 1, 4));
  await display.update(downloading("a", 3, 4));
  await display.update({ image: "busybox", layer: "a", status: "Pull complete" });
  await display.update({ image: "busy\x1b[2Jbox", status: "done" });
  await display.clear();
  assertEquals(
    output.text,
    `\
apex: pulling busybox: Pulling from library/busybox
apex: pulling busybox: a: Downloading
apex: pulling busybox: a: Pull complete
apex: pulling busy\\x1b[2Jbox: done
`,
  );
});

Deno.test("PullDisplay.clear() writes nothing if nothing was drawn", async () => {
  const output = new CapturedOutput({ isTerminal: true });
  await new PullDisplay(output).clear();
  assertEquals(output.text, "");
});
