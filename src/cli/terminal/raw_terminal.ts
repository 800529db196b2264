/**
 * A terminal in raw mode, restored afterwards however this process ends. This process restores it on a normal exit, and
 * the Deno runtime when an uncaught error ends the process. In case the process is killed there is a guard: a shell that
 * waits for the end of its standard input, which this process holds open, and then resets the modes that programs may have
 * switched on, and restores the settings if no other program has changed them since.
 */
import { ApexError } from "../../platform/apex_error.ts";
import { USUAL_MODES, USUAL_MODES_AND_ORIGIN } from "./terminal_modes.ts";

/**
 * Arguments: `$0` the settings before raw mode, `$1` those in raw mode, `$2` the text that resets the modes, `$3` the text
 * to use instead once a line has arrived on standard input. The terminal is the shell's standard output and, within `$( )`
 * where that is a pipe, descriptor 3. The shell may run in the background, where it must ignore SIGTTOU to set the terminal.
 *
 * It resets the modes at once and without another process, so that this comes before the next prompt, which would
 * otherwise be drawn on the alternate screen. The pause lets the user's shell take over the terminal first; if that has
 * changed the settings by then, they are left alone.
 */
const GUARD = 'trap "" TTOU INT TERM HUP QUIT; exec 3<&1; modes=$2; while read -r _; do modes=$3; done; ' +
  'printf %s "$modes"; sleep 0.1; [ "$(stty -g <&3)" = "$1" ] && stty "$0" <&3';

export class RawTerminal implements AsyncDisposable {
  readonly #settings: string;
  readonly #guard: Deno.ChildProcess;
  readonly #guardInput: WritableStreamDefaultWriter<Uint8Array>;
  #left: Promise<void> | undefined;

  private constructor(settings: string, guard: Deno.ChildProcess) {
    this.#settings = settings;
    this.#guard = guard;
    this.#guardInput = guard.stdin.getWriter();
  }

  /**
   * Makes the terminal on standard input raw. Standard output must be the same terminal.
   *
   * @throws {ApexError} `failed` when `stty` fails
   */
  static async enter(): Promise<RawTerminal> {
    const before = await stty("-g");
    Deno.stdin.setRaw(true);
    try {
      // The session's own terminal already translates LF to CR LF.
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

  /** Informs the guard that origin mode is about to be switched on. To be called at most once. */
  async willHaveOrigin(): Promise<void> {
    try {
      await this.#guardInput.write(new TextEncoder().encode("\n"));
    } catch (error) {
      // The guard was killed.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  /** Restores the settings; resetting the modes is left to the caller. May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#left ??= this.#leave();
  }

  async #leave(): Promise<void> {
    Deno.stdin.setRaw(false);
    await stty(this.#settings);
    // Killed before its standard input is closed, so that it resets nothing.
    this.#guard.kill("SIGKILL");
    // `close` would fail after an earlier write to a guard that has exited.
    await this.#guardInput.abort();
    await this.#guard.status;
  }
}

/** Runs `stty` on the terminal of standard input, and returns its output. */
async function stty(argument: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("stty", {
    args: [argument],
    stdin: "inherit",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new ApexError("failed", `cannot set up the terminal: ${decoder.decode(stderr).trim()}`);
  return decoder.decode(stdout).trim();
}
