import { delay } from "@std/async/delay";
import { APEX_COMMAND, ApexHome } from "./apex_process.ts";

const POLL_MS = 20;

/**
 * A home whose daemons are started by this very process, and left to themselves as their starters leave them. At the end
 * the one that lives is ended, and all of them are gone.
 */
export class StartedDaemons implements AsyncDisposable {
  readonly home: ApexHome;

  private constructor(home: ApexHome) {
    this.home = home;
  }

  static async make(): Promise<StartedDaemons> {
    return new StartedDaemons(await ApexHome.create());
  }

  /** Where a daemon in this home answers, and where its log goes. */
  get paths(): { readonly controlSocket: string; readonly stateDir: string } {
    return { controlSocket: this.home.controlSocket, stateDir: `${this.home.dir}/state` };
  }

  /** A command with this home's environment. Nobody is told the processes' ids, so each writes down its own. */
  command(words: readonly string[] = APEX_COMMAND): string[] {
    const variables = Object.entries(this.home.env).map(([name, value]) => `${name}=${value}`);
    const script = `echo $$ >>${this.home.dir}/pids; exec "$0" "$@"`;
    return ["/bin/sh", "-c", script, "/usr/bin/env", ...variables, ...words];
  }

  /**
   * Resolves when all others than that one have ended. Those that were too many look for the one that is there; were that
   * to end meanwhile, one of them would take its place.
   */
  async untilAlone(pid: number): Promise<void> {
    for (const other of await this.#pids()) while (other !== pid && exists(other)) await delay(POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pids = await this.#pids();
    await this.home[Symbol.asyncDispose]();
    // Until they are reaped, which their starter leaves to the runtime.
    for (const pid of pids) while (exists(pid)) await delay(POLL_MS);
  }

  async #pids(): Promise<number[]> {
    try {
      return (await Deno.readTextFile(`${this.home.dir}/pids`)).trim().split("\n").map(Number);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return []; // None was started.
      throw error;
    }
  }
}

function exists(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT"); // Changes nothing for one that is not stopped.
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
