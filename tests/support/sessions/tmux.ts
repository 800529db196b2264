/**
 * Terminals of a test's own: a tmux server at a socket in the test's directory, with one window for each. What is in them is
 * read back as a person would see it. Disposal ends the server, and with it whatever runs in its terminals.
 */
import { assertEquals } from "@std/assert";
import { eventually } from "../daemons/apex_process.ts";
import { isInstalled } from "../daemons/own_daemon.ts";

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 };

/**
 * Whether there can be terminals here.
 * @throws when tmux is not installed and `APEX_REQUIRE_DOCKER=1` (as in CI) says that nothing may be left out
 */
export async function tmuxAvailable(): Promise<boolean> {
  const available = await isInstalled("tmux");
  if (!available && Deno.env.get("APEX_REQUIRE_DOCKER") === "1") {
    throw new Error("APEX_REQUIRE_DOCKER=1, but tmux is not installed");
  }
  return available;
}

export class Tmux implements AsyncDisposable {
  readonly #socketPath: string;
  readonly #env: Readonly<Record<string, string>>;
  #opened = 0;

  /** @param env of what runs in the terminals, beside this process's own */
  constructor(dir: string, env: Readonly<Record<string, string>>) {
    this.#socketPath = `${dir}/tmux`;
    this.#env = env;
  }

  /** Opens a terminal with a shell in it. */
  async open({ columns, rows }: TerminalSize = USUAL_SIZE): Promise<TestTerminal> {
    const target = `t${this.#opened++}`;
    const size = ["-x", String(columns), "-y", String(rows)];
    await this.run(["-f", "/dev/null", "new-session", "-d", ...size, "-s", target, "sh"]);
    return new TestTerminal(this, target);
  }

  /** Runs one of tmux's commands; what it prints. */
  async run(args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await this.#tmux(args);
    if (!success) throw new Error(`tmux ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#opened === 0) return;
    // It has ended already when all of its shells have.
    await this.#tmux(["kill-server"]);
    await eventually(async () => !(await this.#tmux(["list-sessions"])).success, "tmux has ended");
  }

  #tmux(args: readonly string[]): Promise<Deno.CommandOutput> {
    const env = { ...this.#env, LC_ALL: "C.UTF-8", SHELL: "/bin/sh" };
    return new Deno.Command("tmux", { args: ["-u", "-S", this.#socketPath, ...args], env }).output();
  }
}

/** One terminal. */
export class TestTerminal {
  readonly #tmux: Tmux;
  readonly #target: string;

  /** Made by {@linkcode Tmux.open}. */
  constructor(tmux: Tmux, target: string) {
    this.#tmux = tmux;
    this.#target = target;
  }

  /** Types text as it stands, and Enter behind it. */
  async type(line: string): Promise<void> {
    await this.#run("send-keys", "-l", line);
    await this.press("Enter");
  }

  /** Presses keys by tmux's names: `C-Space`, `C-q`, `Escape`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#run("send-keys", ...keys);
  }

  async resize({ columns, rows }: TerminalSize): Promise<void> {
    await this.#run("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** The text on the screen, without what is blank at the end of its lines. */
  async text(): Promise<string> {
    return (await this.#run("capture-pane", "-p")).trimEnd();
  }

  /** All that can be seen: the cells with their colours, the cursor, and the modes that tmux knows of. */
  async look(): Promise<string> {
    const cells = await this.#run("capture-pane", "-p", "-e");
    const modes = await this.#run("display-message", "-p", LOOK_FORMAT);
    return cells + modes;
  }

  /** Waits until the text on the screen is such. */
  async until(expected: string | RegExp): Promise<void> {
    let seen = "";
    const fits = async () => {
      seen = await this.text();
      return typeof expected === "string" ? seen.includes(expected) : expected.test(seen);
    };
    try {
      await eventually(fits, "on the screen");
    } catch (cause) {
      throw new Error(`waited for ${expected} on the screen; there was:\n${seen}`, { cause });
    }
  }

  /** Waits until the text on the screen is such, and all that can be seen stays as it is; that. */
  async settled(expected: string | RegExp): Promise<string> {
    await this.until(expected);
    let before = "";
    await eventually(async () => {
      const look = await this.look();
      const isSame = look === before;
      before = look;
      return isSame;
    }, "the screen is quiet");
    return before;
  }

  /** Waits until all that can be seen is as it was when it was {@linkcode look}ed at. */
  async untilLook(expected: string): Promise<void> {
    let seen = "";
    try {
      await eventually(async () => (seen = await this.look()) === expected, "the screen is the same");
    } catch (error) {
      assertEquals(seen, expected);
      throw error;
    }
  }

  /** What `stty -g` says of it: to be asked while a shell has it. */
  async settings(): Promise<string> {
    const tty = (await this.#run("display-message", "-p", "#{pane_tty}")).trim();
    const { stdout } = await new Deno.Command("stty", { args: ["-F", tty, "-g"] }).output();
    return new TextDecoder().decode(stdout).trim();
  }

  /** The process that its shell runs in the foreground. */
  async foregroundPid(): Promise<number> {
    const tty = (await this.#run("display-message", "-p", "#{pane_tty}")).trim().replace("/dev/", "");
    const { stdout } = await new Deno.Command("ps", { args: ["-t", tty, "-o", "pid=,pgid=,tpgid="] })
      .output();
    for (const line of new TextDecoder().decode(stdout).trim().split("\n")) {
      const [pid, group, foreground] = line.trim().split(/\s+/).map(Number);
      if (pid === group && group === foreground) return pid!;
    }
    throw new Error(`nothing runs in the foreground of ${tty}`);
  }

  #run(command: string, ...args: readonly string[]): Promise<string> {
    return this.#tmux.run([command, "-t", this.#target, ...args]);
  }
}

const LOOK_FORMAT = [
  ...["#{pane_width}x#{pane_height}", "#{cursor_x},#{cursor_y}", "#{cursor_flag}", "#{alternate_on}"],
  ...["#{keypad_flag}", "#{keypad_cursor_flag}", "#{wrap_flag}", "#{insert_flag}", "#{origin_flag}"],
  ...["#{mouse_standard_flag}", "#{mouse_button_flag}", "#{mouse_all_flag}", "#{mouse_sgr_flag}"],
  ...["#{scroll_region_upper}-#{scroll_region_lower}"],
].join(" ");
