import { assertEquals } from "@std/assert";
import { exitCodeOfSignal, parseSignal, signalName } from "../../../src/embedded_engine/spec/signals.ts";

const SIGNALS: readonly (readonly [string, number | undefined])[] = [
  ["9", 9],
  ["KILL", 9],
  ["SIGKILL", 9],
  ["sigterm", 15],
  ["hup", 1],
  ["SIGUSR1", 10],
  ["64", 64],
  ["99", 99], // A number is sent as it is; what cannot be sent is refused later, in other words.
  ["RTMIN", 34],
  ["SIGRTMIN+3", 37],
  ["RTMAX-1", 63],
  ["RTMAX", 64],
  ["RTMIN+31", undefined],
  ["RTMAX-31", undefined],
  ["0", undefined],
  ["", undefined],
  ["SIG", undefined],
  ["NOPE", undefined],
  ["-9", undefined],
  ["toString", undefined],
];

for (const [text, number] of SIGNALS) {
  Deno.test(`parseSignal(${JSON.stringify(text)}) is ${number}`, () =>
    assertEquals(parseSignal(text), number));
}

Deno.test("signalName() knows what Deno can send, and the exit code is 128 more", () => {
  assertEquals(signalName(15), "SIGTERM");
  assertEquals([signalName(0), signalName(34), signalName(99)], [undefined, undefined, undefined]);
  assertEquals([exitCodeOfSignal("SIGKILL"), exitCodeOfSignal("SIGTERM")], [137, 143]);
});
