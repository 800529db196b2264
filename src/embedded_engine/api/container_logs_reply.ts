import { formatLogTime } from "../../engine/events/engine_time.ts";
import { concat } from "@std/bytes/concat";
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import { HttpError } from "../http/http_error.ts";
import type { HttpReply, HttpRequest } from "../http/http_message.ts";
import { encodeFrame, type LogRecord } from "../processes/log_record.ts";
import { booleanParameter, timeParameter } from "./parameters.ts";

/**
 * Answers `GET /containers/{id}/logs`: the output that is kept and, with `follow`, what is to come; in frames, or bare
 * where it comes from a terminal.
 */
export function logReply({ query, signal }: HttpRequest, find: () => EmbeddedContainer): HttpReply {
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
  const isShown = ({ stream, timeNano }: LogRecord) =>
    streams[stream] && timeNano >= since && !isLate(timeNano);
  return {
    kind: "stream",
    status: 200,
    contentType: `application/vnd.docker.${tty ? "raw" : "multiplexed"}-stream`,
    produce: async (write) => {
      const tail = tailCount(query);
      // Counted first, then left out, so that no length of tail is held in memory.
      let left = tail === undefined
        ? 0
        : Math.max(0, await count(log.read({ follow: false, signal }), isShown) - tail);
      for await (const records of log.read({ follow, signal })) {
        // Many at once: a program that prints lines would pay for a write, a read and a turn of its client for each.
        const frames: Uint8Array[] = [];
        for (const record of records) {
          if (!isShown(record) || left-- > 0) continue;
          const payload = timestamps ? stamped(record) : record.payload;
          frames.push(tty ? payload : encodeFrame(record.stream, payload));
        }
        await write(concat(frames));
        if (records.some(({ timeNano }) => isLate(timeNano))) return;
      }
    },
  };
}

/** Docker takes what is no number, and a negative one, for "all". */
function tailCount(query: URLSearchParams): number | undefined {
  const tail = query.get("tail") ?? "";
  return /^\d{1,15}$/.test(tail) ? Number(tail) : undefined;
}

async function count(
  blocks: AsyncIterable<readonly LogRecord[]>,
  isShown: (record: LogRecord) => boolean,
): Promise<number> {
  let total = 0;
  for await (const records of blocks) total += records.filter(isShown).length;
  return total;
}

function stamped({ timeNano, payload }: LogRecord): Uint8Array {
  return concat([new TextEncoder().encode(`${formatLogTime(timeNano)} `), payload]);
}
