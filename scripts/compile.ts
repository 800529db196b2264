/**
 * Builds the single binary. `deno task compile [OUTPUT]` writes `build/apex` by default. The program is bundled first, so that
 * only the code in use is embedded, and then the bundle is compiled. `$DENORT_BIN` is the runtime to embed if `deno compile`
 * cannot download it.
 *
 * The build runs in a temporary directory beside OUTPUT. Only a binary that starts is moved to OUTPUT. If a step fails, no
 * file remains, and an existing binary is not changed.
 */
import { basename, dirname, join, resolve } from "@std/path/posix";

/** A step has failed, and has printed the reason. */
class StepError extends Error {
  override readonly name = "StepError";
}

const output = resolve(Deno.args[0] ?? "build/apex");
// An interrupted step fails, and then the directory is removed.
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.addSignalListener(signal, () => interrupted.abort());
}
try {
  await compile();
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  await Deno.stderr.write(new TextEncoder().encode(`compile: ${error.message} (nothing was written)\n`));
  Deno.exit(1);
}

async function compile(): Promise<void> {
  await Deno.mkdir(dirname(output), { recursive: true });
  const dir = await Deno.makeTempDir({ dir: dirname(output), prefix: ".compile-" });
  try {
    const bundle = join(dir, "bundle.js");
    const binary = join(dir, basename(output));
    await deno("bundle", "--quiet", "--frozen", "--minify", "--output", bundle, "main.ts");
    await deno(
      "compile",
      "--quiet",
      "--no-config",
      "--no-code-cache", // The cache would be a predictable file below /tmp.
      "--no-prompt",
      // The binary runs any program that its user names, so fewer permissions protect nothing. Reading /proc requires all.
      "--allow-all",
      "--output",
      binary,
      bundle,
    );
    // A runtime of another version is embedded without an error, but the binary does not start.
    const isWhole = await succeeds(binary, "--version");
    if (!isWhole) {
      const runtime = Deno.env.get("DENORT_BIN");
      const why = runtime ? `; $DENORT_BIN (${runtime}) must be the denort of deno ${Deno.version.deno}` : "";
      throw new StepError(`the binary does not start${why}`);
    }
    await Deno.rename(binary, output);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function deno(step: string, ...args: string[]): Promise<void> {
  if (!await succeeds(Deno.execPath(), step, ...args)) throw new StepError(`deno ${step} failed`);
}

async function succeeds(program: string, ...args: string[]): Promise<boolean> {
  const { signal } = interrupted;
  return !signal.aborted && (await new Deno.Command(program, { args, signal }).spawn().status).success;
}
