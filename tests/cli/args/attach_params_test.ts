import { assertEquals, assertThrows } from "@std/assert";
import { commandWords } from "../../../src/cli/args/attach_params.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";

const CASES: readonly (readonly [string, readonly string[]])[] = [
  ["bash", ["bash"]],
  ["  bash   -l ", ["bash", "-l"]],
  [`sh -c 'echo "$HOME"'`, ["sh", "-c", 'echo "$HOME"']],
  [`sh -c "echo \\"a b\\" \\n"`, ["sh", "-c", 'echo "a b" \\n']],
  [`a\\ b c''d ""`, ["a b", "cd", ""]],
];

for (const [text, words] of CASES) {
  Deno.test(`commandWords() splits ${text} as a shell does`, () => {
    assertEquals(commandWords(text), words);
  });
}

Deno.test("commandWords() rejects an invalid command line and quotes it", () => {
  for (const text of ["", "  ", "sh -c 'x", 'say "x', "x\\"]) {
    assertThrows(() => commandWords(text), ApexError, JSON.stringify(text));
  }
});
