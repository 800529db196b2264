import { openStream } from "../client/control_stream.ts";
import { logErrorOf } from "../client/frame_payloads.ts";
import { ApexError } from "../platform/apex_error.ts";
import { formatByteSize } from "../platform/byte_size.ts";
import type { SocketPaths } from "../platform/directories.ts";
import type { CliContext } from "./cli_context.ts";
import { otherTargetsNote } from "./other_targets.ts";
import { pointInTime } from "./point_in_time.ts";

export interface LogsFlags {
  readonly follow?: true | undefined;
  /** A number of lines, or `all`. */
  readonly tail?: string | undefined;
  /** As `pointInTime` takes it. */
  readonly since?: string | undefined;
  readonly timestamps?: true | undefined;
}

export interface LogsOptions {
  readonly sockets: SocketPaths;
  readonly target: string;
  readonly flags: LogsFlags;
}

/**
 * `apex logs`: what a task or container has written, to stdout what was there, to stderr what was there.
 *
 * @throws {ApexError} `not_found`, `usage`, `no_daemon`; `engine` when the log cannot be read to its end, `stream_cut` when
 * the daemon went away.
 */
export async function logs(context: CliContext, { sockets, target, flags }: LogsOptions): Promise<void> {
  const { stdout, stderr, now } = context;
  const params = {
    target,
    ...(flags.follow && { follow: true }),
    ...(flags.tail !== undefined && flags.tail !== "all" && { tail: lines(flags.tail) }),
    ...(flags.since !== undefined && { sinceMs: pointInTime("--since", flags.since, now()) }),
    ...(flags.timestamps && { timestamps: true }),
  };
  using stream = await openStream(sockets.controlSocket, "containers.logs", params);
  const note = otherTargetsNote(target, stream.result);
  if (note !== undefined) await stderr.print(`apex: ${note}`);
  const { kept } = stream.result;
  if (kept?.isCut) {
    const amount = formatByteSize(kept.bytes);
    await stderr.print(
      `apex: the container of ${target} was removed: only the last ${amount} of its output are kept`,
    );
  }
  for await (const frame of stream.frames) {
    if (frame.kind === "data") await stdout.write(frame.payload);
    else if (frame.kind === "stderr") await stderr.write(frame.payload);
    else if (frame.kind === "exit") {
      const error = logErrorOf(frame);
      if (error === undefined) return;
      throw new ApexError("engine", `the log of ${target} broke off: ${error}`);
    }
  }
  throw new ApexError("stream_cut", `the log of ${target} broke off: the daemon went away`);
}

function lines(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApexError("usage", `--tail: ${JSON.stringify(text)} must be a number of lines, or "all"`);
}
