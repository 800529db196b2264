/** The requests for a container's output, input and terminal: logs, attach, resize. */
import { concat } from "@std/bytes/concat";
import { formatLogTime } from "../../engine/events/engine_time.ts";
import { type AttachParameters, AttachSession, detachKeyBytes } from "../containers/attach_session.ts";
import type { ContainerIndex } from "../containers/container_index.ts";
import { checkAttach } from "../containers/container_state.ts";
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import { emptyReply, HttpError, type HttpReply, type HttpRequest } from "../http/http_message.ts";
import { rawStreamReply } from "../http/raw_stream.ts";
import type { Route } from "../http/router.ts";
import { encodeStreamFrame, type OutputRecord } from "../processes/output_record.ts";
import { booleanParameter, sizeParameters, timeParameter } from "./parameters.ts";

export function streamRoutes(containers: ContainerIndex): Route[] {
  return [
    {
      method: "GET",
      path: "/containers/{id}/logs",
      handle: (request, { id = "" }) => logs(request, () => containers.get(id)),
    },
    {
      method: "POST",
      path: "/containers/{id}/attach",
      handle: (request, { id = "" }) => attach(request, { containers, id }),
    },
    {
      // Unlike Docker, also for a container that does not run: it starts with that size.
      method: "POST",
      path: "/containers/{id}/resize",
      handle: async ({ query }, { id = "" }) => {
        const size = sizeParameters(query);
        await containers.get(id).resize(size);
        return emptyReply(200);
      },
    },
  ];
}

/**
 * Answers `GET /containers/{id}/logs`: the output so far and, with `follow`, the output until the end of the run. It is in
 * frames, but bare for a container with a terminal.
 * @param find is called after the parameters were checked
 */
function logs({ query, abort }: HttpRequest, find: () => EmbeddedContainer): HttpReply {
  const streams = { stdout: booleanParameter(query, "stdout"), stderr: booleanParameter(query, "stderr") };
  if (!streams.stdout && !streams.stderr) {
    throw new HttpError(400, "Bad parameters: you must choose at least one stream");
  }
  const { log, spec: { tty } } = find();
  const since = timeParameter(query, "since") ?? 0n;
  const until = timeParameter(query, "until") ?? 0n;
  const timestamps = booleanParameter(query, "timestamps");
  const follow = booleanParameter(query, "follow");
  const isLate = (timeNano: bigint) => until > 0n && timeNano > until;
  const isShown = ({ stream, timeNano }: OutputRecord) =>
    streams[stream] && timeNano >= since && !isLate(timeNano);
  return {
    kind: "stream",
    status: 200,
    contentType: `application/vnd.docker.${tty ? "raw" : "multiplexed"}-stream`,
    produce: async (write) => {
      const tail = tailCount(query);
      // The records are counted first and then skipped, so that a long tail need not be held in memory.
      let left = tail === undefined
        ? 0
        : Math.max(0, await count(log.read({ follow: false, abort }), isShown) - tail);
      for await (const records of log.read({ follow, abort })) {
        // Many records in one write: otherwise each line would cost a write here, and a read at the client.
        const frames: Uint8Array[] = [];
        for (const record of records) {
          if (!isShown(record) || left-- > 0) continue;
          const payload = timestamps ? stamped(record) : record.payload;
          frames.push(tty ? payload : encodeStreamFrame(record.stream, payload));
        }
        await write(concat(frames));
        if (records.some(({ timeNano }) => isLate(timeNano))) return;
      }
    },
  };
}

/** As in Docker, everything but a number that is not negative means "all". */
function tailCount(query: URLSearchParams): number | undefined {
  const tail = query.get("tail") ?? "";
  return /^\d{1,15}$/.test(tail) ? Number(tail) : undefined;
}

async function count(
  blocks: AsyncIterable<readonly OutputRecord[]>,
  isShown: (record: OutputRecord) => boolean,
): Promise<number> {
  let total = 0;
  for await (const records of blocks) total += records.filter(isShown).length;
  return total;
}

function stamped({ timeNano, payload }: OutputRecord): Uint8Array {
  return concat([new TextEncoder().encode(`${formatLogTime(timeNano)} `), payload]);
}

function attach(
  request: HttpRequest,
  { containers, id }: { readonly containers: ContainerIndex; readonly id: string },
): HttpReply {
  try {
    const attachRequest = parseAttachParameters(request.query);
    const container = containers.get(id);
    checkAttach(container, id);
    const session = new AttachSession(container, attachRequest);
    return rawStreamReply(request, {
      multiplexed: !container.spec.tty,
      serve: (client) => session.serve(client),
      abandon: () => session[Symbol.dispose](),
    });
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    // Docker's own refusals of an attach are bare text, with the content type of the stream.
    return {
      kind: "fixed",
      status: error.status,
      contentType: "application/vnd.docker.raw-stream",
      body: `${error.message}\r\n`,
    };
  }
}

/** @throws {HttpError} 400 for malformed detach keys */
function parseAttachParameters(query: URLSearchParams): AttachParameters {
  return {
    logs: booleanParameter(query, "logs"),
    stream: booleanParameter(query, "stream"),
    stdin: booleanParameter(query, "stdin"),
    stdout: booleanParameter(query, "stdout"),
    stderr: booleanParameter(query, "stderr"),
    detachKeys: detachKeyBytes(query.get("detachKeys") ?? ""),
  };
}
