import { assertEquals } from "@std/assert";
import * as help from "../../src/cli/help_texts.ts";

for (const [name, text] of Object.entries(help)) {
  Deno.test(`the help text ${name} fits a terminal of 80 columns`, () => {
    assertEquals(text.split("\n").filter((line) => line.length > 80), []);
  });
}
