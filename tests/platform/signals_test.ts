import { assertEquals } from "@std/assert";
import {
  exitCodeOfSignal,
  parseEngineSignal,
  SIGKILL,
  signalName,
  signalNumber,
  SIGTERM,
} from "../../src/platform/signals.ts";

/** A text, and the results of `signalNumber()` and `parseEngineSignal()`. */
const TEXTS: readonly (readonly [text: string, signal: number | undefined, engineSignal?: number])[] = [
  ["9", 9],
  ["KILL", 9],
  ["SIGKILL", 9],
  ["sigterm", 15],
  ["hup", 1],
  ["SIGUSR1", 10],
  ["32", undefined, 32],
  ["64", undefined, 64],
  ["99", undefined, 99], // The engine refuses to send it.
  ["RTMIN", undefined, 34],
  ["SIGRTMIN+3", undefined, 37],
  ["rtmax-1", undefined, 63],
  ["RTMAX", undefined, 64],
  ["RTMIN+31", undefined],
  ["RTMAX-31", undefined],
  ["0", undefined],
  ["", undefined],
  ["SIG", undefined],
  ["NOPE", undefined],
  ["-9", undefined],
  ["toString", undefined],
];

for (const [text, signal, engineSignal = signal] of TEXTS) {
  Deno.test(`signalNumber(${JSON.stringify(text)}) is ${signal}, and ${engineSignal} for an engine`, () => {
    assertEquals(signalNumber(text), signal);
    assertEquals(parseEngineSignal(text), engineSignal);
  });
}

Deno.test("signalName() and signalNumber() agree on 1 to 31", () => {
  for (let number = 1; number <= 31; number++) {
    assertEquals(signalNumber(signalName(number) ?? ""), number);
    assertEquals(signalNumber(String(number)), number);
  }
  assertEquals([SIGKILL, SIGTERM, 11, 2].map(signalName), ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGINT"]);
  assertEquals([0, 32, 99, -1].map(signalName), [undefined, undefined, undefined, undefined]);
});

Deno.test("exitCodeOfSignal() is 128 and the signal's number", () => {
  assertEquals([exitCodeOfSignal("SIGHUP"), exitCodeOfSignal("SIGKILL")], [129, 137]);
});
