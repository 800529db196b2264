/**
 * Records the transcript at the top of the README from a real run on an embedded engine. This updates the README:
 *
 *     deno run -A scripts/transcript.ts
 *
 * `tests/readme_test.ts` records the transcript again and compares the two.
 */
import { delay } from "@std/async/delay";
import { fromFileUrl, join } from "@std/path/posix";

const ROOT = fromFileUrl(new URL("..", import.meta.url));
const POLL_MS = 20;

/** The command of the first terminal, which prints events until the daemon stops. */
const FOLLOW = "apex events | jq -c 'del(.containerId, .image, .labels, .timestamp)'";
/** The commands of the second terminal. */
const COMMANDS = ["apex run --task build-7 -- sh -c 'echo compiling; sleep 1; exit 3'", "echo $?"];

/** Where the README has the transcript. */
export const TRANSCRIPT = /(?<=^<!-- transcript -->\n```console\n)[^]*?(?=^```$)/m;

/** Runs the commands of both terminals, and returns each with its output. */
export async function recordTranscript(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "apex-transcript-" });
  try {
    const env = await prepare(dir);
    await using _engine = await startEngine(dir, env);
    await runShell("apex daemon -d 2>&1", env);
    const following = runShell(FOLLOW.replace("jq", "jq --unbuffered"), env);
    await until(async () => JSON.parse(await runShell("apex status --json", env)).subscribers === 1);
    // `(exit $status)` restores the status of the command before, for a command that prints it.
    const script = COMMANDS.map((command) => {
      return `echo '$' ${quoted(command)}; (exit $status); ${command}; status=$?`;
    });
    const output = await runShell(script.join("\n"), env);
    await until(async () => (await runShell("apex history --json --type workspace.cleaned", env)) !== "");
    await runShell("apex stop 2>&1", env);
    return `$ ${FOLLOW}\n${await following}\n${output}`;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Puts `apex` into the search path, and everything that it writes into a directory of its own. */
async function prepare(dir: string): Promise<Record<string, string>> {
  await Deno.mkdir(join(dir, "bin"));
  await Deno.mkdir(join(dir, "apex"));
  await Deno.writeTextFile(join(dir, "apex/config.toml"), `engine = "unix://${engineSocket(dir)}"\n`);
  const command = `exec ${quoted(Deno.execPath())} run -A --quiet ${quoted(join(ROOT, "main.ts"))} "$@"`;
  await Deno.writeTextFile(join(dir, "bin/apex"), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  return {
    PATH: `${dir}/bin:${Deno.env.get("PATH")}`,
    APEX_RUNTIME_DIR: join(dir, "runtime"),
    APEX_STATE_DIR: join(dir, "state"),
    XDG_CONFIG_HOME: dir,
    DOCKER_HOST: "",
    DOCKER_CONTEXT: "",
  };
}

/** Starts an embedded engine; disposal ends it. */
async function startEngine(dir: string, env: Record<string, string>): Promise<AsyncDisposable> {
  const args = ["engine", "--dir", join(dir, "engine"), "--listen", engineSocket(dir)];
  const options = { args, env, stdin: "null", stdout: "null", stderr: "null" } as const;
  const engine = new Deno.Command(join(dir, "bin/apex"), options).spawn();
  await until(() => Deno.stat(engineSocket(dir)).then(() => true, () => false));
  return {
    async [Symbol.asyncDispose]() {
      engine.kill("SIGTERM");
      await engine.status;
    },
  };
}

function engineSocket(dir: string): string {
  return join(dir, "engine.socket");
}

/** Runs a script in a shell and returns what it prints. */
async function runShell(script: string, env: Record<string, string>): Promise<string> {
  const command = new Deno.Command("sh", { args: ["-c", script], env, stdin: "null", stderr: "inherit" });
  return new TextDecoder().decode((await command.output()).stdout);
}

async function until(isDone: () => Promise<boolean>): Promise<void> {
  while (!await isDone()) await delay(POLL_MS);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

if (import.meta.main) {
  const path = join(ROOT, "README.md");
  const readme = await Deno.readTextFile(path);
  if (!TRANSCRIPT.test(readme)) throw new Error("README.md has no transcript to update");
  const transcript = await recordTranscript();
  await Deno.writeTextFile(path, readme.replace(TRANSCRIPT, () => transcript));
}
