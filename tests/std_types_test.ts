import { assert } from "@std/assert";

/** Checks that the @std modules export what `src/std.d.ts` declares, which the type checker cannot do. */
const declarations = await Deno.readTextFile(new URL("../src/std.d.ts", import.meta.url));
const modules = [...declarations.matchAll(/^declare module "([^"]+)" \{\n([^]*?)^\}/gm)];

Deno.test("std.d.ts was read", () => assert(modules.length >= 5));

for (const [, specifier = "", body = ""] of modules) {
  const names = [...body.matchAll(/^ {2}export (?:abstract )?(?:class|function|const|let) (\w+)/gm)].map((
    match,
  ) => match[1]!);
  Deno.test(`${specifier} exports what std.d.ts declares`, async () => {
    assert(names.length > 0, "nothing declared");
    const exports: Record<string, unknown> = await import(specifier);
    for (const name of names) assert(name in exports, `${specifier} has no ${name}`);
  });
}
