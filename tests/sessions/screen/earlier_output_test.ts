import { assertEquals } from "@std/assert";
import { RecentOutput, tailBefore } from "../../../src/sessions/screen/earlier_output.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { within } from "../../support/within.ts";

const MAX_BYTES = 16 * 1024 + 512;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Fixture {
  readonly recent: RecentOutput;
  readonly clock: FakeClock;
  readonly kept: string[];
}

function recentOutput(stored?: string): Fixture {
  const clock = new FakeClock();
  const kept: string[] = [];
  const recent = new RecentOutput({
    clock,
    ...(stored !== undefined && { bytes: bytes(stored) }),
    onKeep: () => void kept.push(text(recent)),
  });
  return { recent, clock, kept };
}

const text = (recent: RecentOutput): string => new TextDecoder().decode(recent.bytes);

Deno.test("RecentOutput keeps exactly the last bytes", () => {
  const { recent, clock } = recentOutput("0");
  let all = "0";
  for (const size of [1, 10, 5_000, 5_000, 5_000, 5_000, 3, 70_000, 1, MAX_BYTES, 2]) {
    const chunk = Array.from({ length: size }, (_, at) => String.fromCharCode(97 + (at + size) % 26)).join(
      "",
    );
    recent.push(bytes(chunk));
    all += chunk;
    assertEquals(text(recent), all.slice(-MAX_BYTES));
  }
  recent[Symbol.dispose]();
  assertEquals(clock.pendingTimers, 0);
});

Deno.test("RecentOutput stores the output of some time at once, and only if there was any", () => {
  const { recent, clock, kept } = recentOutput("before ");
  clock.advance(1_000);
  for (const key of "ls") recent.push(bytes(key));
  assertEquals(kept, []);
  clock.advance(250);
  assertEquals(kept, ["before ls"]);
  clock.advance(1_000);
  recent.restart(bytes("new"));
  clock.advance(250);
  assertEquals(kept, ["before ls", "new"]);
});

Deno.test("disposal stores output that is not stored yet, once", () => {
  const { recent, kept } = recentOutput();
  recent.push(bytes("$ "));
  recent[Symbol.dispose]();
  recent[Symbol.dispose]();
  assertEquals(kept, ["$ "]);
});

/** Calls tailBefore() with a log and a stream that change in steps of 50 ms. */
async function tail(
  steps: readonly { readonly log: string; readonly streamed: string }[],
  recent = "",
): Promise<string | undefined> {
  const clock = new FakeClock();
  let step = 0;
  const now = () => steps[Math.min(step, steps.length - 1)]!;
  const tailing = tailBefore(() => bytes(now().streamed), {
    containerId: "c",
    recent: bytes(recent),
    terminals: { tail: () => Promise.resolve(bytes(now().log)) },
    clock,
    abort: new AbortController().signal,
  });
  let isDone = false;
  void tailing.finally(() => isDone = true);
  while (true) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (isDone) break;
    step++;
    clock.advance(50);
  }
  const before = await within(5_000, "the tail", tailing);
  return before && new TextDecoder().decode(before);
}

Deno.test("tailBefore() returns the whole log while the stream is silent", async () => {
  assertEquals(await tail([{ log: "one\r\n", streamed: "" }]), "one\r\n");
});

Deno.test("tailBefore() cuts off the output that is in the stream, too", async () => {
  assertEquals(await tail([{ log: "one\r\ntwo\r\n", streamed: "two\r\n" }]), "one\r\n");
});

Deno.test("tailBefore() reads the log again until the log contains the output of the stream", async () => {
  assertEquals(
    await tail([
      { log: "one\r\n", streamed: "" },
      { log: "one\r\n", streamed: "two\r\n" },
      { log: "one\r\ntwo\r\nthree\r\n", streamed: "two\r\nthree\r\n" },
    ]),
    "one\r\n",
  );
});

Deno.test("tailBefore() returns the whole log when the stream has only an unfinished line, which is not logged", async () => {
  assertEquals(await tail([{ log: "one\r\n", streamed: "/ # l" }]), "one\r\n");
});

Deno.test("tailBefore() adds an unfinished line that was received earlier, until it is logged", async () => {
  assertEquals(await tail([{ log: "one\r\n", streamed: "" }], "one\r\n/ # "), "one\r\n/ # ");
  assertEquals(await tail([{ log: "one\r\n", streamed: "ls" }], "one\r\n/ # "), "one\r\n/ # ");
  const steps = [{ log: "one\r\n", streamed: "ls\r\n" }, { log: "one\r\n/ # ls\r\n", streamed: "ls\r\n" }];
  assertEquals(await tail(steps, "one\r\n/ # "), "one\r\n/ # ");
});

Deno.test("tailBefore() returns undefined when log and stream do not meet, and when the stream has too much output", async () => {
  assertEquals(await tail([{ log: "one\r\n", streamed: "zzz\r\n" }]), undefined);
  assertEquals(await tail([{ log: "one\r\n", streamed: "z".repeat(1024 * 1024 + 1) }]), undefined);
});
