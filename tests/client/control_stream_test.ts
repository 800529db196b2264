import { assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { openStream } from "../../src/client/control_stream.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { encodeFrame } from "../../src/protocol/frames.ts";
import { encodeLine } from "../../src/protocol/jsonl.ts";
import { type OpScript, ScriptedDaemon } from "../support/daemons/scripted_daemon.ts";
import { TempDir } from "../support/temp_dir.ts";
import { within } from "../support/within.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function joined(...parts: Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** All frames of a `tasks.wait`, as `kind text`. */
async function framesOf(script: OpScript): Promise<string[]> {
  await using dir = await TempDir.make();
  await using _daemon = new ScriptedDaemon(dir.join("s"), { "tasks.wait": script });
  using stream = await openStream(dir.join("s"), "tasks.wait", { task: "t1" });
  assertEquals(stream.result, { taskId: "t1" });
  const frames: string[] = [];
  for await (const { kind, payload } of stream.frames) {
    frames.push(`${kind} ${new TextDecoder().decode(payload)}`);
  }
  return frames;
}

const REPLY = encodeLine({ ok: true, result: { taskId: "t1" } });
const FRAMES = joined(
  encodeFrame("data", bytes("a\nb")),
  encodeFrame("ping"),
  encodeFrame("exit", bytes("{}")),
);

Deno.test("openStream() keeps frames that arrive with the reply", async () => {
  const frames = await framesOf((connection) => connection.send(joined(REPLY, FRAMES)));
  assertEquals(frames, ["data a\nb", "ping ", "exit {}"]);
});

Deno.test("ControlStream assembles frames from any chunks", async () => {
  const frames = await framesOf(async (connection) => {
    for (const byte of joined(REPLY, FRAMES)) await connection.send(new Uint8Array([byte]));
  });
  assertEquals(frames, ["data a\nb", "ping ", "exit {}"]);
});

Deno.test("ControlStream ends with the connection, and drops an unfinished frame", async () => {
  const whole = encodeFrame("data", bytes("whole"));
  const frames = await framesOf((connection) => connection.send(joined(REPLY, whole, whole.subarray(0, 7))));
  assertEquals(frames, ["data whole"]);
});

Deno.test("ControlStream rejects an invalid frame", async () => {
  const error = await assertRejects(
    () => framesOf((connection) => connection.send(joined(REPLY, bytes("HTTP/1.1")))),
    ApexError,
  );
  assertEquals(error.code, "protocol");
  assertMatch(error.message, /invalid data from .*: no frame is of kind 72/);
});

Deno.test("openStream() throws the daemon's error, and closes the connection", async () => {
  await using dir = await TempDir.make();
  const hungUp = Promise.withResolvers<void>();
  await using _daemon = new ScriptedDaemon(dir.join("s"), {
    "containers.logs": async (connection) => {
      await connection.refuse("not_found", "no such container");
      await connection.hungUp();
      hungUp.resolve();
    },
  });
  const error = await assertRejects(
    () => openStream(dir.join("s"), "containers.logs", { target: "x" }),
    ApexError,
    "no such container",
  );
  assertEquals(error.code, "not_found");
  await within(20_000, "the client's hanging up", hungUp.promise);
});

Deno.test("openStream() throws a timeout if the daemon does not answer", async () => {
  await using dir = await TempDir.make();
  await using _daemon = new ScriptedDaemon(dir.join("s"), {
    "tasks.wait": (connection) => connection.hungUp(),
  });
  const error = await assertRejects(
    () => openStream(dir.join("s"), "tasks.wait", { task: "t1" }, { timeoutMs: 20 }),
    ApexError,
  );
  assertEquals(error.code, "timeout");
});

Deno.test("openStream() and its frames throw the signal's reason when it is aborted", async () => {
  await using dir = await TempDir.make();
  await using daemon = new ScriptedDaemon(dir.join("s"), {
    "tasks.wait": async (connection) => {
      await connection.reply({ taskId: "t1" });
      await connection.hungUp();
    },
    "containers.logs": (connection) => connection.hungUp(),
  });
  const reason = new Error("enough");
  const early = new AbortController();
  const opening = assertRejects(
    () => openStream(dir.join("s"), "containers.logs", { target: "x" }, { abort: early.signal }),
    Error,
  );
  await daemon.received("containers.logs");
  early.abort(reason);
  assertStrictEquals(await opening, reason);

  const late = new AbortController();
  using stream = await openStream(dir.join("s"), "tasks.wait", { task: "t1" }, { abort: late.signal });
  const reading = assertRejects(() => Array.fromAsync(stream.frames), Error);
  late.abort(reason);
  assertStrictEquals(await reading, reason);
});

Deno.test("ControlStream can be disposed twice, and ends a pending read", async () => {
  await using dir = await TempDir.make();
  await using _daemon = new ScriptedDaemon(dir.join("s"), {
    "tasks.wait": async (connection) => {
      await connection.reply({ taskId: "t1" });
      await connection.hungUp();
    },
  });
  const stream = await openStream(dir.join("s"), "tasks.wait", { task: "t1" });
  const reading = Array.fromAsync(stream.frames);
  stream[Symbol.dispose]();
  stream[Symbol.dispose]();
  assertEquals(await within(20_000, "the reader's end", reading), []);
});
