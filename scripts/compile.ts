/**
 * Makes the single binary: bundles first, so that only what is used gets embedded, then compiles the bundle.
 * `deno task compile [OUTPUT]` writes `build/apex` by default. `$DENORT_BIN` names the runtime to embed where
 * `deno compile` cannot fetch its own.
 */
import { dirname, resolve } from "@std/path/posix";

const output = resolve(Deno.args[0] ?? "build/apex");
const bundle = `${output}.bundle.js`;
await Deno.mkdir(dirname(output), { recursive: true });

await deno("bundle", "--quiet", "--frozen", "--minify", "--output", bundle, "main.ts");
await deno(
  "compile",
  "--quiet",
  "--no-config",
  "--no-code-cache", // it would lie in a predictable file below /tmp
  "--no-prompt",
  // It runs what it is asked to, so less would promise what it cannot keep; and /proc is only read with all.
  "--allow-all",
  "--output",
  output,
  bundle,
);
await Deno.remove(bundle);
// A runtime of another version embeds without complaint, and then does not start.
await run(output, "--version");

function deno(...args: string[]): Promise<void> {
  return run(Deno.execPath(), ...args);
}

async function run(program: string, ...args: string[]): Promise<void> {
  const { code } = await new Deno.Command(program, { args }).spawn().status;
  if (code !== 0) Deno.exit(code);
}
