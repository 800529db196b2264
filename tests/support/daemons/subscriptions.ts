import type { EventFlags } from "../../../src/cli/args/event_flags.ts";
import { events } from "../../../src/cli/commands/events.ts";
import { TempDir } from "../temp_dir.ts";
import { within } from "../within.ts";
import { CapturedOutput, testContext } from "./cli_context.ts";
import { type OpScript, ScriptedDaemon } from "./scripted_daemon.ts";

export const EPOCH = "00000000000000aa";
/** The newest event has the number 4. */
export const HELLO =
  `{"type":"stream.hello","protocol":1,"epoch":"${EPOCH}","cursor":"${EPOCH}:4","oldest":"${EPOCH}:0"}`;
export const LIMIT = '{"type":"stream.bye","reason":"limit"}';
export const SHUTDOWN = '{"type":"stream.bye","reason":"shutdown"}';
export const event = (seq: number): string => `{"seq":${seq},"type":"session.created"}`;
/** An event as it is printed without its cursor. */
export const BARE = '{"type":"session.created"}\n';

/** Replies, and sends these lines. */
export function says(...lines: string[]): OpScript {
  return async (connection) => {
    await connection.reply({});
    await connection.send(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")));
  };
}

export interface Surroundings extends AsyncDisposable {
  readonly dir: TempDir;
  readonly daemon: ScriptedDaemon;
  readonly stdout: CapturedOutput;
  readonly stderr: CapturedOutput;
  run(flags: EventFlags): Promise<number>;
}

/** A daemon that serves each subscription by the next script, and all further ones by the last script. */
export async function subscriptions(...scripts: OpScript[]): Promise<Surroundings> {
  await using parts = new AsyncDisposableStack();
  const dir = parts.use(await TempDir.make());
  let opened = 0;
  const daemon = parts.use(
    new ScriptedDaemon(dir.join("apex.socket"), {
      "events.subscribe": (connection, request) =>
        scripts[Math.min(opened++, scripts.length - 1)]!(connection, request),
    }),
  );
  const [stdout, stderr] = [new CapturedOutput(), new CapturedOutput()];
  const context = testContext({ stdout, stderr });
  const owned = parts.move();
  return {
    dir,
    daemon,
    stdout,
    stderr,
    run: (flags) =>
      within(
        20_000,
        "apex events",
        events(context, { flags: { socket: dir.join("apex.socket"), ...flags } }),
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
