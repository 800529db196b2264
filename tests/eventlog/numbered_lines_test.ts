import { assertEquals } from "@std/assert";
import { numberLines } from "../../src/eventlog/numbered_lines.ts";

Deno.test("numberLines() puts seq first, whatever its number of digits, and changes nothing else", () => {
  const json = '{"type":"x","text":"é🎉\\n"}';
  const seqs = [1, 9, 10, 99, 100, 12_345, 2 ** 32, Number.MAX_SAFE_INTEGER];
  const lines = seqs.map((seq) => ({ seq, json: new TextEncoder().encode(json) }));
  const bytes = numberLines(lines);
  assertEquals(
    new TextDecoder().decode(bytes),
    seqs.map((seq) => `{"seq":${seq},${json.slice(1)}\n`).join(""),
  );
  assertEquals(numberLines([]).length, 0);
});
