import { assertEquals } from "@std/assert";
import { tailBefore } from "../../../src/sessions/screen/earlier_output.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Asks with a log and a stream that a test changes as time goes on. */
async function ask(
  steps: readonly { readonly log: string; readonly said: string }[],
  recent = "",
): Promise<string | undefined> {
  const clock = new FakeClock();
  let step = 0;
  const now = () => steps[Math.min(step, steps.length - 1)]!;
  const asking = tailBefore(() => bytes(now().said), {
    containerId: "c",
    recent: bytes(recent),
    terminals: { tail: () => Promise.resolve(bytes(now().log)) },
    clock,
    signal: new AbortController().signal,
  });
  let isDone = false;
  void asking.finally(() => isDone = true);
  while (true) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (isDone) break;
    step++;
    clock.advance(50);
  }
  const before = await within(5_000, "the tail", asking);
  return before && new TextDecoder().decode(before);
}

Deno.test("tailBefore() gives the whole log while the stream is silent", async () => {
  assertEquals(await ask([{ log: "one\r\n", said: "" }]), "one\r\n");
});

Deno.test("tailBefore() cuts off what the stream says as well", async () => {
  assertEquals(await ask([{ log: "one\r\ntwo\r\n", said: "two\r\n" }]), "one\r\n");
});

Deno.test("tailBefore() reads again when the stream speaks up, until the log is as far", async () => {
  assertEquals(
    await ask([
      { log: "one\r\n", said: "" },
      { log: "one\r\n", said: "two\r\n" },
      { log: "one\r\ntwo\r\nthree\r\n", said: "two\r\nthree\r\n" },
    ]),
    "one\r\n",
  );
});

Deno.test("tailBefore() takes the log as it is when the stream's line has not ended, so is not in it", async () => {
  assertEquals(await ask([{ log: "one\r\n", said: "/ # l" }]), "one\r\n");
});

Deno.test("tailBefore() adds the line that was heard and is not logged, until it is", async () => {
  assertEquals(await ask([{ log: "one\r\n", said: "" }], "one\r\n/ # "), "one\r\n/ # ");
  assertEquals(await ask([{ log: "one\r\n", said: "ls" }], "one\r\n/ # "), "one\r\n/ # ");
  const steps = [{ log: "one\r\n", said: "ls\r\n" }, { log: "one\r\n/ # ls\r\n", said: "ls\r\n" }];
  assertEquals(await ask(steps, "one\r\n/ # "), "one\r\n/ # ");
});

Deno.test("tailBefore() gives up when log and stream do not meet, and when the stream says too much", async () => {
  assertEquals(await ask([{ log: "one\r\n", said: "zzz\r\n" }]), undefined);
  assertEquals(await ask([{ log: "one\r\n", said: "z".repeat(1024 * 1024 + 1) }]), undefined);
});
