/**
 * A daemon of another version. It holds the lock beside its socket, answers `status` with a given status or refuses it, and
 * does not know `stop`. Arguments: its socket, and its status as JSON or `refuses`.
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
  if (framed === null) continue; // A connection without a request, to check that it listens.
  const isStatus = new TextDecoder().decode(framed.line).includes('"status"');
  const reply = isStatus && status !== "refuses"
    ? { ok: true, result: { ...JSON.parse(status), pid: Deno.pid } }
    : { ok: false, error: { code: "protocol", message: "this daemon speaks control protocol 0" } };
  await conn.write(encodeLine(reply));
}
