import type { ControlParamsOf } from "../../client/control_exchange.ts";
import { type ControlStream, openStream } from "../../client/control_stream.ts";
import { logErrorOf } from "../../client/frame_payloads.ts";
import { ApexError } from "../../platform/apex_error.ts";
import { formatByteSize } from "../../platform/byte_size.ts";
import type { Frame } from "../../protocol/frames.ts";
import { pointInTime } from "../args/flag_values.ts";
import type { CliContext, VerbOptions } from "../cli_context.ts";
import { resumedFrames } from "../connection/reconnect.ts";
import { namingTarget, otherTargetsNote } from "../connection/targets.ts";

export interface LogsFlags {
  readonly follow?: true | undefined;
  /** A number of lines, or `all`. */
  readonly tail?: string | undefined;
  /** As `pointInTime` takes it. */
  readonly since?: string | undefined;
  readonly timestamps?: true | undefined;
}

export interface LogsOptions extends VerbOptions {
  readonly target: string;
  readonly flags: LogsFlags;
}

type LogsStream = ControlStream<"containers.logs">;
type LogsParams = ControlParamsOf<"containers.logs">;

/**
 * `apex logs`: prints the output of a task or container, each stream on the same stream of this process. With `--follow` it
 * survives the daemon.
 *
 * @throws {ApexError} `not_found`, `usage`, `no_daemon`; `engine` if the log cannot be read to its end; `stream_cut` if the
 * daemon goes away and no other one comes, or without `--follow`; `interrupted` on Ctrl-C while no daemon is connected
 */
export async function logs(context: CliContext, options: LogsOptions): Promise<void> {
  const { target } = options;
  try {
    await print(context, options);
  } catch (error) {
    throw namingTarget("cannot print the log of", { target, error });
  }
}

async function print(context: CliContext, options: LogsOptions): Promise<void> {
  const { stdout, stderr } = context;
  const { target } = options;
  for await (const frame of await framesOf(context, options)) {
    if (frame.kind === "data") await stdout.write(frame.payload);
    else if (frame.kind === "stderr") await stderr.write(frame.payload);
    else if (frame.kind === "exit") {
      const error = logErrorOf(frame);
      if (error === undefined) return;
      throw new ApexError("engine", `the log of ${target} broke off: ${error}`);
    }
  }
  throw lostDaemon(target);
}

function lostDaemon(target: string): ApexError {
  return new ApexError("stream_cut", `the log of ${target} broke off: lost the daemon`);
}

async function framesOf(
  context: CliContext,
  { sockets, target, flags }: LogsOptions,
): Promise<AsyncIterable<Frame>> {
  const { controlSocket } = sockets;
  const params: LogsParams = {
    target,
    ...(flags.follow && { follow: true }),
    ...(flags.tail !== undefined && flags.tail !== "all" && { tail: lines(flags.tail) }),
    ...(flags.since !== undefined && { sinceMs: pointInTime("--since", flags.since, context.now()) }),
    ...(flags.timestamps && { timestamps: true }),
  };
  const abort = new AbortController();
  const options = { abort: abort.signal };
  const begin = async (): Promise<LogsStream> => {
    const stream = await openStream(controlSocket, "containers.logs", params, options);
    await printNotes(context, { target, stream });
    return stream;
  };
  if (!flags.follow) return framesOnce(await begin());
  let first: LogsStream["result"] | undefined;
  return resumedFrames({
    context,
    open: async ({ received, lostAtMs }) => {
      // Without a known start, a second `--tail` would select other lines.
      const isTailLost = first?.start === undefined && params.tail !== undefined;
      if (first !== undefined && isTailLost) throw lostDaemon(target);
      if (lostAtMs !== undefined) await context.checkDaemon(sockets);
      if (first === undefined) {
        const stream = await begin();
        first = stream.result;
        return stream;
      }
      const again = { ...continued(params, first), received };
      return await openStream(controlSocket, "containers.logs", again, options);
    },
    standing: () => `the log of ${target} continues`,
    remedy: () => `see: apex logs ${target}`,
    abort,
  });
}

async function* framesOnce(stream: LogsStream): AsyncGenerator<Frame> {
  using current = stream;
  yield* current.frames;
}

/** The parameters that request the same output again: by now the name may belong to another container. */
function continued(
  { tail: _tail, sinceMs, ...params }: LogsParams,
  { target, containerId, start }: LogsStream["result"],
): LogsParams {
  return {
    ...params,
    ...(start !== undefined ? { start } : sinceMs !== undefined && { sinceMs }),
    target: target.includes("@") ? target : containerId ?? target,
  };
}

async function printNotes(
  { stderr }: CliContext,
  { target, stream: { result } }: { readonly target: string; readonly stream: LogsStream },
): Promise<void> {
  const note = otherTargetsNote(target, result);
  if (note !== undefined) await stderr.print(`apex: ${note}`);
  if (!result.kept?.isCut) return;
  const amount = formatByteSize(result.kept.bytes);
  await stderr.print(
    `apex: the container of ${target} was removed; only the last ${amount} of its output were kept`,
  );
}

function lines(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApexError("usage", `--tail: ${JSON.stringify(text)} must be a number of lines, or "all"`);
}
