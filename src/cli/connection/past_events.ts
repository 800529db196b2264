/** Reads events from the daemon's journal, and resolves the names of their containers. */
import { request } from "../../client/control_exchange.ts";
import { openLines, streamLines } from "../../client/line_stream.ts";
import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import { type PastEvent, pastEvents } from "../output/history_row.ts";

interface ReadPastOptions {
  readonly params: Parameters<typeof openLines<"events.history">>[2];
  readonly take: (lines: Uint8Array) => Promise<void> | void;
}

/**
 * Requests events of the past, oldest first. Calls `take` with one or more whole lines: events, and gaps between them.
 *
 * @throws {ApexError} the daemon's own error; `no_daemon`; `stream_cut` when the history is incomplete
 */
export async function readPast(
  { controlSocket }: SocketPaths,
  { params, take }: ReadPastOptions,
): Promise<void> {
  using stream = await openLines(controlSocket, "events.history", params);
  for (let piece = await stream.next(); piece !== null; piece = await stream.next()) {
    let length = 0;
    let bye: string | undefined;
    for (const line of streamLines(piece)) {
      // `stream.bye` is the last line.
      if (line.seq === undefined && line.record?.type === "stream.bye") bye = line.record.reason;
      const bytes = line.seq === undefined ? line.line : line.rest;
      if (bye === undefined) length = bytes.byteOffset + bytes.length - piece.byteOffset;
    }
    if (length > 0) await take(piece.subarray(0, length));
    if (bye === "end") return;
    if (bye !== undefined) break;
  }
  throw new ApexError(
    "stream_cut",
    "the history is incomplete: the daemon was stopped, or cannot read its journal (see: apex status)",
  );
}

/** The daemon serves a limited number of connections, and has other clients. */
const MAX_CONCURRENT = 16;

/**
 * The names of the events' containers, by id. Events of tasks and workspaces have only the id. The name is looked up in the
 * other events, then in the journal, then in the daemon's list of containers.
 *
 * @throws {ApexError} as {@linkcode readPast} does
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
      // Without a task id the daemon would have to search the whole journal.
      if (typeof taskId !== "string") continue;
      const params = { task: taskId, container, types: ["container.*"], limit: 1 };
      await readPast(sockets, { params, take: (lines) => addNames(names, pastEvents(lines)) });
    }
  };
  await Promise.all(Array.from({ length: MAX_CONCURRENT }, worker));
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

/** Empty if the daemon has not reached its engine yet: the table works without names. */
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
