import { assertEquals, assertRejects } from "@std/assert";
import { ApexError } from "../../src/platform/apex_error.ts";
import { SocketFile } from "../../src/platform/unix_socket.ts";
import { TempDir } from "../support/temp_dir.ts";

Deno.test("SocketFile.listen() creates a socket that only its owner can reach, and keeps the umask", async () => {
  await using dir = await TempDir.make();
  const before = Deno.umask(0o022);
  try {
    const socket = await SocketFile.listen(dir.join("s"));
    const mode = (await Deno.lstat(socket.path)).mode! & 0o777;
    const umaskAfter = Deno.umask(0o022);
    await socket.unlink();
    socket.listener.close();
    assertEquals([mode.toString(8), umaskAfter], ["600", 0o022]);
  } finally {
    Deno.umask(before);
  }
});

Deno.test("SocketFile.listen() replaces the socket of a dead listener", async () => {
  await using dir = await TempDir.make();
  await leaveStaleSocket(dir.join("s"));
  const socket = await SocketFile.listen(dir.join("s"));
  using _conn = await Deno.connect({ transport: "unix", path: socket.path });
  await socket.unlink();
  socket.listener.close();
});

Deno.test("SocketFile.listen() keeps a socket on which another process listens", async () => {
  await using dir = await TempDir.make();
  using listener = Deno.listen({ transport: "unix", path: dir.join("s") });
  await assertRejects(() => SocketFile.listen(dir.join("s")), ApexError, "another process already does");
  using _conn = await Deno.connect({ transport: "unix", path: listener.addr.path });
});

Deno.test("SocketFile.listen() keeps a file that is not a socket", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("s"), "precious");
  await assertRejects(() => SocketFile.listen(dir.join("s")), ApexError, "it exists and is not a socket");
  assertEquals(await Deno.readTextFile(dir.join("s")), "precious");
});

Deno.test("SocketFile.unlink() keeps a socket that another process has bound since", async () => {
  await using dir = await TempDir.make();
  const socket = await SocketFile.listen(dir.join("s"));
  await Deno.rename(socket.path, dir.join("moved"));
  using listener = Deno.listen({ transport: "unix", path: socket.path });
  await socket.unlink();
  using _conn = await Deno.connect({ transport: "unix", path: listener.addr.path });
  await Deno.remove(dir.join("moved"));
  const conn = await Deno.connect({ transport: "unix", path: listener.addr.path });
  conn.close();
  socket.listener.close();
});

/** Leaves the socket file of a killed process, on which no process listens. */
async function leaveStaleSocket(path: string): Promise<void> {
  const code = `Deno.listen({ transport: "unix", path: ${
    JSON.stringify(path)
  } }); Deno.kill(Deno.pid, "SIGKILL");`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
  assertEquals((await Deno.lstat(path)).isSocket, true);
}
