import { assertEquals } from "@std/assert";
import { green } from "@std/fmt/colors";
import { formatTable, printable } from "../../../src/cli/output/table.ts";

Deno.test("formatTable() makes each column as wide as its widest cell, without trailing spaces", () => {
  assertEquals(formatTable([["ID", "NAME", "AGE"], ["abc", "a-long-name", ""], ["d", "e", "3s"]]), [
    "ID   NAME         AGE",
    "abc  a-long-name",
    "d    e            3s",
  ]);
});

Deno.test("formatTable() counts wide letters twice, and colours not at all", () => {
  assertEquals(formatTable([["容器", "x"], ["abc", "x"], [green("ok"), "x"]]), [
    "容器  x",
    "abc   x",
    `${green("ok")}    x`,
  ]);
});

Deno.test("printable() escapes control characters", () => {
  assertEquals(printable("a\x1b[31mb\nc\x9b"), "a\\x1b[31mb\\x0ac\\x9b");
  assertEquals(printable("容器 é"), "容器 é");
});
