import { ApexError, messageOf } from "../platform/apex_error.ts";
import { Deadline, DeadlineExceeded } from "../platform/async/deadline.ts";
import type { Clock } from "../platform/clock.ts";
import type { EngineClient } from "./engine_client.ts";
import { EngineError } from "./http/engine_error.ts";
import { cancelOnAbort, cancelReader, linesOf } from "./http/reply_body.ts";

/** Progress of a pull, as the engine reports it. */
export interface PullProgress {
  readonly image: string;
  /** The engine's own words: `Pulling fs layer`, `Downloading`, `Pull complete` … */
  readonly status: string;
  /** The short id of the layer; absent for the whole image. */
  readonly layer?: string;
  readonly currentBytes?: number;
  readonly totalBytes?: number;
}

export interface PullOptions {
  readonly clock: Clock;
  readonly abort?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** During a pull, engines send a line every 100 ms. One that is silent for this long has lost its registry. */
const IDLE_TIMEOUT_MS = 60_000;
/** Real lines are under 1 KiB. */
const MAX_LINE_BYTES = 64 * 1024;

/**
 * Pulls an image; resolves when it is stored.
 * @throws {ApexError} `usage` for an invalid image name, `timeout` when the engine is silent for 60 s
 * @throws {EngineError} naming the image, with the engine's reason
 * @throws the reason of `abort` when it aborts
 */
export async function pullImage(
  client: EngineClient,
  image: string,
  { clock, abort, onProgress = () => {} }: PullOptions,
): Promise<void> {
  const reference = parseImageReference(image);
  if (reference === undefined) {
    throw new ApexError("usage", `cannot pull image "${image}": it is not an image name`);
  }
  using link = new Deadline(0, { clock, abort });
  try {
    const response = await client.request("POST", "/images/create", {
      query: { fromImage: reference.name, tag: reference.tag },
      abort: link.abortSignal,
      timeoutMs: IDLE_TIMEOUT_MS,
    });
    if (response.body === null) return;
    for await (const line of progressLines(response.body, { clock, abort: link.abortSignal })) {
      const progress = readLine(line, image);
      if (progress !== undefined) onProgress(progress);
    }
  } catch (error) {
    abort?.throwIfAborted();
    throw pullFailure(image, error);
  }
}

/** The lines of the body. @throws {DeadlineExceeded} when no line arrives for {@linkcode IDLE_TIMEOUT_MS} */
async function* progressLines(
  body: ReadableStream<Uint8Array>,
  { clock, abort }: { clock: Clock; abort: AbortSignal },
): AsyncGenerator<string> {
  const reader = linesOf(body, { maxLineBytes: MAX_LINE_BYTES });
  const release = cancelOnAbort(reader, abort);
  try {
    while (true) {
      let isIdle = false;
      const cancelIdle = clock.after(IDLE_TIMEOUT_MS, () => {
        isIdle = true;
        void cancelReader(reader);
      });
      const { done, value } = await reader.read().finally(cancelIdle);
      abort.throwIfAborted();
      if (isIdle) throw new DeadlineExceeded(IDLE_TIMEOUT_MS);
      if (done) return;
      yield value;
    }
  } finally {
    release();
    await cancelReader(reader);
  }
}

/**
 * Parses one line of the reply; undefined for a line without progress.
 * @throws {EngineError} when the line reports that the pull has failed
 */
function readLine(line: string, image: string): PullProgress | undefined {
  const message = parseObject(line);
  if (message === undefined) return undefined;
  const reason = textOf(objectOf(message.errorDetail)?.message) ?? textOf(message.error);
  if (reason !== undefined) throw new EngineError(reason, { engineMessage: reason });
  const status = textOf(message.status) ?? textOf(message.stream)?.trim();
  if (status === undefined || status === "") return undefined;
  const detail = objectOf(message.progressDetail);
  // The `id` in the first line is the tag.
  const layer = status.startsWith("Pulling from") ? undefined : textOf(message.id);
  const currentBytes = bytesOf(detail?.current);
  const totalBytes = bytesOf(detail?.total);
  return {
    image,
    status,
    ...(layer !== undefined && { layer }),
    ...(currentBytes !== undefined && { currentBytes }),
    // 0 stands for an unknown length.
    ...(totalBytes !== undefined && totalBytes > 0 && { totalBytes }),
  };
}

function pullFailure(image: string, error: unknown): ApexError {
  const what = `cannot pull image "${image}"`;
  const isIdle = error instanceof DeadlineExceeded ||
    (error instanceof EngineError && error.cause instanceof DeadlineExceeded);
  if (isIdle) {
    const message = `${what}: the engine has sent nothing for ${IDLE_TIMEOUT_MS / 1000} s`;
    return new ApexError("timeout", message, { cause: error });
  }
  const reason = error instanceof EngineError ? error.engineMessage ?? error.message : messageOf(error);
  const status = error instanceof EngineError ? error.status : undefined;
  // Without `engineMessage`: the engine's message alone would say neither that a pull failed, nor of which image.
  return new EngineError(`${what}: ${reason}`, { cause: error, ...(status !== undefined && { status }) });
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    return objectOf(JSON.parse(line));
  } catch (error) {
    // An empty line, or one that was cut: it does not say whether the pull succeeds.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function bytesOf(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 ? value : undefined;
}

/** An image reference, split as the engine's `images/create` expects it. */
export interface ImageReference {
  /** `[host[:port]/]path`. */
  readonly name: string;
  /** A tag, or a digest with its algorithm; `latest` when the reference has neither. */
  readonly tag: string;
}

/**
 * Splits a reference by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`. With a digest, the
 * tag is ignored. Undefined when the reference is invalid.
 */
export function parseImageReference(reference: string): ImageReference | undefined {
  if (reference.length > MAX_REFERENCE_LENGTH) return undefined;
  const match = REFERENCE.exec(reference);
  if (match === null) return undefined;
  const [, name = "", tag, digest] = match;
  return { name, tag: digest ?? tag ?? "latest" };
}

/** Whether the reference is an image id, which no registry knows: 64 hex digits, with or without `sha256:`. */
export function isImageId(reference: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{64}$/.test(reference);
}

const MAX_REFERENCE_LENGTH = 255 + 128 + 72;
const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const DOMAIN = `${LABEL}(?:\\.${LABEL})*(?::\\d+)?`;
const REFERENCE = new RegExp(
  `^((?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?` +
    `(?:@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$`,
);
