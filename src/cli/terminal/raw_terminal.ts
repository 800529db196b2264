/**
 * The terminal of a person, handed over to a session: raw while it is, and back as it was afterwards, whatever happens.
 *
 * Two look after that. This process puts it back when it leaves in order, and the runtime when an error ends it. For the
 * case that it is killed there is a guard, a shell that waits for the end of its standard input (which this process
 * holds) and then puts back the modes that programs may have switched on, and the settings, if they are still the ones
 * that were made here.
 */
import { ApexError } from "../../platform/apex_error.ts";
import { USUAL_MODES, USUAL_MODES_AND_ORIGIN } from "./terminal_modes.ts";

/**
 * `$0`: the settings as they were, `$1`: as they were made. `$2`: what puts the terminal's modes back, `$3`: the same when a
 * line came on the standard input. The terminal is its standard output, and 3: within `$( )` that is a pipe. It may not be
 * in the foreground any more, which must not stop it (TTOU).
 *
 * The modes at once and without another process, to be there before the next prompt, which would be drawn on the
 * alternate screen. Then the pause lets the shell that it was started from take over first, and whoever has made other
 * settings by then keeps them.
 */
const GUARD = 'trap "" TTOU INT TERM HUP QUIT; exec 3<&1; modes=$2; while read -r _; do modes=$3; done; ' +
  'printf %s "$modes"; sleep 0.1; [ "$(stty -g <&3)" = "$1" ] && stty "$0" <&3';

export class RawTerminal implements AsyncDisposable {
  readonly #before: string;
  readonly #guard: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  #left: Promise<void> | undefined;

  private constructor(before: string, guard: Deno.ChildProcess) {
    this.#before = before;
    this.#guard = guard;
    this.#orders = guard.stdin.getWriter();
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
        args: ["-c", GUARD, before, raw, USUAL_MODES, USUAL_MODES_AND_ORIGIN],
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

  /** It is about to be in origin mode: resolves when the guard, too, can be told of that. To be called once at most. */
  async willHaveOrigin(): Promise<void> {
    try {
      await this.#orders.write(new TextEncoder().encode("\n"));
    } catch (error) {
      // Somebody has ended the guard: nobody is left to be told.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  /** Puts its settings back; its modes are left to whoever draws in it. May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#left ??= this.#leave();
  }

  async #leave(): Promise<void> {
    Deno.stdin.setRaw(false);
    await stty(this.#before);
    // Nothing is left for it to do. What it waits with ends with its input.
    this.#guard.kill("SIGKILL");
    // Not `close`, which fails when it could not be told something.
    await this.#orders.abort();
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
