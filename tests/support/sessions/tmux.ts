/**
 * Real terminals for tests: a tmux server at a socket in the test's directory, with one session per terminal. Tests read
 * their contents back as a person would see them. Disposal ends the server and all programs in its terminals.
 */
import { assertEquals } from "@std/assert";
import { eventually } from "../daemons/apex_process.ts";
import { isInstalled } from "../daemons/own_daemon.ts";

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 };

/**
 * Returns whether tmux is installed.
 * @throws when it is not, and `APEX_REQUIRE_DOCKER=1` (as in CI) forbids skipping tests
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

  /** @param env added to this process's environment for programs in the terminals */
  constructor(dir: string, env: Readonly<Record<string, string>>) {
    this.#socketPath = `${dir}/tmux`;
    this.#env = env;
  }

  /** Opens a terminal with a shell in it. */
  async open({ columns, rows }: TerminalSize = DEFAULT_SIZE): Promise<TestTerminal> {
    const target = `t${this.#opened++}`;
    const size = ["-x", String(columns), "-y", String(rows)];
    await this.run(["-f", "/dev/null", "new-session", "-d", ...size, "-s", target, "sh"]);
    return new TestTerminal(this, target);
  }

  /** Runs a tmux command, and returns its output. */
  async run(args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await this.#tmux(args);
    if (!success) throw new Error(`tmux ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#opened === 0) return;
    // The server has already ended if all of its shells have.
    await this.#tmux(["kill-server"]);
    await eventually(async () => !(await this.#tmux(["list-sessions"])).success, "the end of tmux");
  }

  #tmux(args: readonly string[]): Promise<Deno.CommandOutput> {
    const env = { ...this.#env, LC_ALL: "C.UTF-8", SHELL: "/bin/sh" };
    return new Deno.Command("tmux", { args: ["-u", "-S", this.#socketPath, ...args], env }).output();
  }
}

/** One terminal, made by {@linkcode Tmux.open}. */
export class TestTerminal {
  readonly #tmux: Tmux;
  readonly #target: string;

  constructor(tmux: Tmux, target: string) {
    this.#tmux = tmux;
    this.#target = target;
  }

  /** Types text literally, and then Enter. */
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

  /** Returns the text on the screen, without blanks at the ends of lines. */
  async text(): Promise<string> {
    return (await this.#run("capture-pane", "-p")).trimEnd();
  }

  /** Returns everything visible: the cells with their colours, the cursor, and the modes that tmux knows. */
  async look(): Promise<string> {
    const cells = await this.#run("capture-pane", "-p", "-e");
    const modes = await this.#run("display-message", "-p", LOOK_FORMAT);
    return cells + modes;
  }

  /** Waits until the text on the screen contains or matches `expected`. */
  async until(expected: string | RegExp): Promise<void> {
    let seen = "";
    const fits = async () => {
      seen = await this.text();
      return typeof expected === "string" ? seen.includes(expected) : expected.test(seen);
    };
    try {
      await eventually(fits, "on the screen");
    } catch (cause) {
      throw new Error(`waited for ${expected} on the screen, which shows:\n${seen}`, { cause });
    }
  }

  /** Waits until the text on the screen is as expected and the screen no longer changes. Returns its {@linkcode look}. */
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

  /** Waits until the screen looks as an earlier {@linkcode look}. */
  async untilLook(expected: string): Promise<void> {
    let seen = "";
    try {
      await eventually(async () => (seen = await this.look()) === expected, "the screen is the same");
    } catch (error) {
      assertEquals(seen, expected);
      throw error;
    }
  }

  /** Returns the terminal's settings as `stty -g` prints them. */
  async settings(): Promise<string> {
    const tty = (await this.#run("display-message", "-p", "#{pane_tty}")).trim();
    const { stdout } = await new Deno.Command("stty", { args: ["-F", tty, "-g"] }).output();
    return new TextDecoder().decode(stdout).trim();
  }

  /** Returns the id of the process in the terminal's foreground. */
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
