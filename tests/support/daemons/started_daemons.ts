import { delay } from "@std/async/delay";
import { APEX_COMMAND, ApexHome } from "./apex_process.ts";

const POLL_MS = 20;

/**
 * A home directory whose daemons this process starts in the background, as `apex daemon -d` does. Disposal ends the running
 * daemon, and waits until all of them have ended.
 */
export class StartedDaemons implements AsyncDisposable {
  readonly home: ApexHome;

  private constructor(home: ApexHome) {
    this.home = home;
  }

  static async make(): Promise<StartedDaemons> {
    return new StartedDaemons(await ApexHome.create());
  }

  /** The control socket and the state directory of a daemon in this home. */
  get paths(): { readonly controlSocket: string; readonly stateDir: string } {
    return { controlSocket: this.home.controlSocket, stateDir: `${this.home.dir}/state` };
  }

  /** A command with the environment of this home. The pids are not returned, so each process writes down its own. */
  command(words: readonly string[] = APEX_COMMAND): string[] {
    const variables = Object.entries(this.home.env).map(([name, value]) => `${name}=${value}`);
    const script = `echo $$ >>${this.home.dir}/pids; exec "$0" "$@"`;
    return ["/bin/sh", "-c", script, "/usr/bin/env", ...variables, ...words];
  }

  /**
   * Resolves when all daemons except this one have ended. A surplus daemon looks for the running one: if that ended
   * first, a surplus one would replace it.
   */
  async untilAlone(pid: number): Promise<void> {
    for (const other of await this.#pids()) while (other !== pid && exists(other)) await delay(POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = await this.#pids();
    await this.home[Symbol.asyncDispose]();
    // Until they are reaped, which the runtime does.
    for (const pid of pids) while (exists(pid)) await delay(POLL_MS);
  }

  async #pids(): Promise<number[]> {
    try {
      return (await Deno.readTextFile(`${this.home.dir}/pids`)).trim().split("\n").map(Number);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return []; // No daemon was started.
      throw error;
    }
  }
}

function exists(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT"); // Has no effect on a process that is not stopped.
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
