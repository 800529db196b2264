import type { LogChunk } from "../../engine/logs/log_frames.ts";
import { encodeFrame, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/frames.ts";
import type { ControlChannel } from "../control_socket/control_channel.ts";

/**
 * The chunk without what its client has received before.
 * @param left so many bytes of each stream are still to be left out; taken off here
 */
export function withoutReceived(
  { stream, bytes }: LogChunk,
  left: { stdout: number; stderr: number },
): LogChunk {
  const skipped = Math.min(left[stream], bytes.length);
  left[stream] -= skipped;
  return { stream, bytes: bytes.subarray(skipped) };
}

/** Sends some output, in as many frames as it takes; resolves when the socket took it. @throws when the client is gone */
export async function sendOutput(channel: ControlChannel, { stream, bytes }: LogChunk): Promise<void> {
  const kind = stream === "stderr" ? "stderr" : "data";
  for (let start = 0; start < bytes.length; start += MAX_FRAME_PAYLOAD_BYTES) {
    await channel.send(encodeFrame(kind, bytes.subarray(start, start + MAX_FRAME_PAYLOAD_BYTES)));
  }
}
