/**
 * The terminal of a person, handed over to a session: raw while it is, and back as it was afterwards, whatever happens.
 *
 * Two look after that. This process puts it back when it leaves in order, and the runtime when an error ends it. For the
 * case that it is killed there is a guard, a shell that waits for the end of its standard input (which this process
 * holds) and then puts back the settings, if they are still the ones that were made here.
 */
import { ApexError } from "../platform/apex_error.ts";

/**
 * `$0`: the settings as they were, `$1`: as they were made. The terminal is its standard output, and 3: within `$( )` that
 * is a pipe. It may not be in the foreground any more, which must not stop it (TTOU); the pause lets the shell that it was
 * started from take over first, and whoever has made other settings by then keeps them.
 */
const GUARD = 'trap "" TTOU INT TERM HUP QUIT; exec 3<&1; cat >/dev/null; sleep 0.1; ' +
  '[ "$(stty -g <&3)" = "$1" ] && stty "$0" <&3';

export class RawTerminal implements AsyncDisposable {
  readonly #before: string;
  readonly #guard: Deno.ChildProcess;
  #left: Promise<void> | undefined;

  private constructor(before: string, guard: Deno.ChildProcess) {
    this.#before = before;
    this.#guard = guard;
  }

  /**
   * Makes the terminal of standard input raw. Standard output must be that terminal too.
   * @throws {ApexError} `failed` when it cannot be
   */
  static async enter(): Promise<RawTerminal> {
    const before = await stty("-g");
    Deno.stdin.setRaw(true);
    try {
      // The session's own terminal makes CR LF of LF; once is enough.
      await stty("-opost");
      const raw = await stty("-g");
      const guard = new Deno.Command("/bin/sh", {
        args: ["-c", GUARD, before, raw],
        stdin: "piped",
        stdout: "inherit",
        stderr: "null",
      }).spawn();
      guard.unref();
      return new RawTerminal(before, guard);
    } catch (error) {
      Deno.stdin.setRaw(false);
      throw error;
    }
  }

  /** Puts it back. May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#left ??= this.#leave();
  }

  async #leave(): Promise<void> {
    Deno.stdin.setRaw(false);
    await stty(this.#before);
    // Nothing is left for it to do. What it waits with ends with its input.
    this.#guard.kill("SIGKILL");
    await this.#guard.stdin.close();
    await this.#guard.status;
  }
}

/** Runs `stty` on the terminal of standard input; what it prints. */
async function stty(argument: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("stty", {
    args: [argument],
    stdin: "inherit",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new ApexError("failed", `cannot set the terminal: ${decoder.decode(stderr).trim()}`);
  return decoder.decode(stdout).trim();
}
