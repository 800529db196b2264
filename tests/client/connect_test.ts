import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { connect } from "../../src/client/connect.ts";
import { ApexError } from "../../src/platform/apex_error.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("connect() throws no_daemon without a socket", async () => {
  await using dir = await TempDir.make();
  const error = await assertRejects(() => connect(dir.join("none.socket")), ApexError);
  assertEquals(error.code, "no_daemon");
  assertMatch(error.message, /^no daemon is running \(no socket at \/.*\); start one with: apex daemon$/);
});

Deno.test("connect() throws no_daemon for the socket of a killed daemon", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("s.socket");
  // A second name of the socket remains after the listener is closed, as the socket of a killed daemon does.
  const listener = Deno.listen({ transport: "unix", path: dir.join("first") });
  await Deno.link(dir.join("first"), path);
  listener.close();
  const error = await assertRejects(() => connect(path), ApexError);
  assertEquals(error.code, "no_daemon");
  assertMatch(error.message, /no process listens at/);
});

Deno.test("connect() reports the reason of other failures", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("file"), "");
  const error = await assertRejects(() => connect(`${dir.join("file")}/s.socket`), ApexError);
  assertEquals(error.code, "failed");
  assertMatch(error.message, /^cannot connect to .*: a part of its path is not a directory/);
});

Deno.test("connect() waits while the listener's backlog is full, and stops when aborted", async () => {
  await using dir = await TempDir.make();
  const path = dir.join("s.socket");
  using listener = Deno.listen({ transport: "unix", path });
  using queued = new DisposableStack();
  let backlogIsFull = false;
  while (!backlogIsFull) {
    try {
      queued.use(await Deno.connect({ transport: "unix", path }));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      backlogIsFull = true;
    }
  }
  const controller = new AbortController();
  const stopped = new Error("stopped");
  const abandoned = assertRejects(() => connect(path, { abort: controller.signal }), Error, "stopped");
  controller.abort(stopped);
  await abandoned;
  const waiting = connect(path);
  queued.use(await listener.accept());
  queued.use(await waiting);
});
