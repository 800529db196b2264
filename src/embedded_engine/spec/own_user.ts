import { cannot } from "./unsupported_options.ts";

/**
 * Checks a container's user, `NAME`, `UID` or either with `:GROUP`: every process here runs as the engine's own.
 * @param user empty: the engine's own
 * @throws {HttpError} 400 for any other user or group
 */
export async function checkOwnUser(user: string): Promise<void> {
  if (user === "") return;
  const [name = "", group] = user.split(":");
  const isOwn = await isNameOf(name, Deno.uid(), "/etc/passwd") &&
    (group === undefined || await isNameOf(group, Deno.gid(), "/etc/group"));
  if (!isOwn) throw cannot(`run a process as another user than its own (User: ${user})`);
}

/** Whether a name, or a number, is that id's. @param table its third column has the id of the name in its first */
async function isNameOf(name: string, id: number | null, table: string): Promise<boolean> {
  if (name === String(id)) return true;
  const lines = (await Deno.readTextFile(table)).split("\n").map((line) => line.split(":"));
  return lines.some(([known, , knownId]) => known === name && knownId === String(id));
}
