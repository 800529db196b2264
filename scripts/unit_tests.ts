/**
 * Prints the test files that need no engine: those whose imports lead to none of the helpers that start an engine, a daemon or the
 * program itself. `deno task test:unit` runs them.
 */
import { importsIn, typescriptFiles } from "../tests/support/import_graph.ts";

/** Helpers that start processes, or run on an engine. */
const SLOW =
  /^tests\/support\/(engines|daemons|sessions\/tmux)|^src\/embedded_engine\/(embedded_engine|launch_embedded_engine)\.ts$/;
/** Property tests that take longer than all the others together. */
const LONG = /name_handover_property_test|restart_replay_test/;
/** Tests that start a program themselves. */
const STARTS_PROGRAM = /\bnew Deno\.Command\(/;

const files = await typescriptFiles("tests");
const imports = Map.groupBy(await importsIn([...files, ...await typescriptFiles("src")]), ({ file }) => file);

/** Whether the imports of a file lead to a slow helper. */
function isSlow(file: string, seen = new Set<string>()): boolean {
  if (SLOW.test(file)) return true;
  seen.add(file);
  return (imports.get(file) ?? []).some(({ target }) => !seen.has(target) && isSlow(target, seen));
}

for (const file of files.filter((file) => file.endsWith("_test.ts"))) {
  if (LONG.test(file) || isSlow(file) || STARTS_PROGRAM.test(await Deno.readTextFile(file))) continue;
  await Deno.stdout.write(new TextEncoder().encode(`${file}\n`));
}
