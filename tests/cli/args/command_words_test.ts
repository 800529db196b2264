import { assertEquals, assertThrows } from "@std/assert";
import { commandWords } from "../../../src/cli/args/command_words.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";

const CASES: readonly (readonly [string, readonly string[]])[] = [
  ["bash", ["bash"]],
  ["  bash   -l ", ["bash", "-l"]],
  [`sh -c 'echo "$HOME"'`, ["sh", "-c", 'echo "$HOME"']],
  [`sh -c "echo \\"a b\\" \\n"`, ["sh", "-c", 'echo "a b" \\n']],
  [`a\\ b c''d ""`, ["a b", "cd", ""]],
];

for (const [text, words] of CASES) {
  Deno.test(`commandWords() parts ${text} as a shell does`, () => {
    assertEquals(commandWords(text), words);
  });
}

Deno.test("commandWords() refuses what is no command, naming it", () => {
  for (const text of ["", "  ", "sh -c 'x", 'say "x', "x\\"]) {
    assertThrows(() => commandWords(text), ApexError, JSON.stringify(text));
  }
});
