import { request } from "../../client/control_exchange.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { type PastEvent, pastEvents } from "../output/history_row.ts";
import { readPast } from "./read_past.ts";

/** The daemon serves a limited number of connections at one time, and this is not its only client. */
const AT_ONE_TIME = 16;

/**
 * The names of the events' containers, by id. Events of tasks and workspaces have the id alone: the name is in another of
 * the events, elsewhere in the journal, or in the daemon's list.
 *
 * @throws {ApexError} as `readPast` does
 */
export async function containerNames(
  events: readonly PastEvent[],
  sockets: SocketPaths,
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  const unknown = new Map<string, PastEvent>();
  addNames(names, events);
  for (const event of events) {
    const { containerId } = event;
    if (typeof containerId === "string" && !names.has(containerId)) unknown.set(containerId, event);
  }
  const left = unknown.entries();
  const worker = async (): Promise<void> => {
    for (const [container, { taskId }] of left) {
      // Without a task it would take a look at each event of the journal.
      if (typeof taskId !== "string") continue;
      const params = { task: taskId, container, types: ["container.*"], limit: 1 };
      await readPast(sockets, { params, take: (lines) => addNames(names, pastEvents(lines)) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONE_TIME }, worker));
  if ([...unknown.keys()].every((id) => names.has(id))) return names;
  for (const { id, name } of await existingContainers(sockets)) names.set(id, name);
  return names;
}

function addNames(names: Map<string, string>, events: readonly PastEvent[]): void {
  for (const { containerId, containerName } of events) {
    if (typeof containerId === "string" && typeof containerName === "string") {
      names.set(containerId, containerName);
    }
  }
}

/** None where the daemon has not reached its engine: the table can do without. */
async function existingContainers(
  { controlSocket }: SocketPaths,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  try {
    return (await request(controlSocket, "containers.list", {})).containers;
  } catch (error) {
    if (error instanceof ApexError && error.code === "engine") return [];
    throw error;
  }
}
