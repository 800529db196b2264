import { assertEquals } from "@std/assert";
import { RecentOutput } from "../../../src/sessions/screen/earlier_output.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const MAX_BYTES = 16 * 1024 + 512;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Kept {
  readonly recent: RecentOutput;
  readonly clock: FakeClock;
  readonly kept: string[];
}

function keep(begun?: string): Kept {
  const clock = new FakeClock();
  const kept: string[] = [];
  const recent = new RecentOutput({
    clock,
    ...(begun !== undefined && { bytes: bytes(begun) }),
    onKeep: () => void kept.push(text(recent)),
  });
  return { recent, clock, kept };
}

const text = (recent: RecentOutput): string => new TextDecoder().decode(recent.bytes);

Deno.test("RecentOutput has the last that was said, to the byte", () => {
  const { recent, clock } = keep("0");
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

Deno.test("RecentOutput has it kept once for all that came in a while, and only if something came", () => {
  const { recent, clock, kept } = keep("before ");
  clock.advance(1_000);
  for (const key of "ls") recent.push(bytes(key));
  assertEquals(kept, []);
  clock.advance(250);
  assertEquals(kept, ["before ls"]);
  clock.advance(1_000);
  recent.restart(bytes("anew"));
  clock.advance(250);
  assertEquals(kept, ["before ls", "anew"]);
});

Deno.test("RecentOutput has what is not kept yet kept when it is disposed, once", () => {
  const { recent, kept } = keep();
  recent.push(bytes("$ "));
  recent[Symbol.dispose]();
  recent[Symbol.dispose]();
  assertEquals(kept, ["$ "]);
});
