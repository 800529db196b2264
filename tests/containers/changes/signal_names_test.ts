import { assertEquals } from "@std/assert";
import { signalName, signalNumber } from "../../../src/containers/changes/signal_names.ts";

Deno.test("signalName() and signalNumber() agree on all of 1 to 31", () => {
  for (let number = 1; number <= 31; number++) {
    const name = signalName(number);
    assertEquals(signalNumber(name ?? ""), number);
    assertEquals(signalNumber(String(number)), number);
  }
  assertEquals([9, 15, 11, 2].map(signalName), ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGINT"]);
});

Deno.test("signalNumber() reads every spelling and nothing else", () => {
  const cases = {
    KILL: 9,
    sigterm: 15,
    "9": 9,
    "0": undefined,
    "32": undefined,
    "": undefined,
    SIG: undefined,
  };
  for (const [text, number] of Object.entries(cases)) assertEquals(signalNumber(text), number, text);
});
