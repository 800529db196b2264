/**
 * A daemon of another version: it holds the lock beside its socket, and answers `status` with what it is given, or refuses
 * that, too; it does not know `stop`. Arguments: its socket, and its status as JSON or `refuses`.
 */
import { dirname } from "@std/path/posix";
import { instanceLockPath } from "../../../src/platform/lock_file.ts";
import { encodeLine, readLine } from "../../../src/protocol/jsonl.ts";

const [socket = "", status = ""] = Deno.args;
const lock = await Deno.open(instanceLockPath(dirname(socket)), { create: true, write: true });
await lock.lock(true);
await lock.write(new TextEncoder().encode(JSON.stringify({ pid: Deno.pid, socket })));
for await (const conn of Deno.listen({ transport: "unix", path: socket })) {
  using _ = conn;
  const framed = await readLine(conn, { maxBytes: 1024 });
  if (framed === null) continue; // Only a look whether it listens.
  const isStatus = new TextDecoder().decode(framed.line).includes('"status"');
  const reply = isStatus && status !== "refuses"
    ? { ok: true, result: { ...JSON.parse(status), pid: Deno.pid } }
    : { ok: false, error: { code: "protocol", message: "this daemon speaks control protocol 0" } };
  await conn.write(encodeLine(reply));
}
