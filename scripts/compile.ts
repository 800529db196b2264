/**
 * Makes the single binary: bundles first, so that only what is used gets embedded, then compiles the bundle.
 * `deno task compile [OUTPUT]` writes `build/apex` by default. `$DENORT_BIN` names the runtime to embed where
 * `deno compile` cannot fetch its own.
 *
 * All of it happens in a temporary directory beside OUTPUT. Only a binary that starts is moved to OUTPUT; otherwise
 * nothing is left, and a binary from before stays as it was.
 */
import { basename, dirname, join, resolve } from "@std/path/posix";

/** A step failed; it has printed why itself. */
class StepError extends Error {
  override readonly name = "StepError";
}

const output = resolve(Deno.args[0] ?? "build/apex");
// An interrupted step fails, and so the directory is removed.
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
      "--no-code-cache", // it would lie in a predictable file below /tmp
      "--no-prompt",
      // It runs what it is asked to, so less would promise what it cannot keep; and /proc is only read with all.
      "--allow-all",
      "--output",
      binary,
      bundle,
    );
    // A runtime of another version embeds without complaint, and then does not start.
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
