import type { ControlStream } from "../../client/control_stream.ts";
import { messageOf } from "../../platform/apex_error.ts";
import { encodeFrame, MAX_FRAME_PAYLOAD_BYTES } from "../../protocol/frames.ts";
import type { CliContext } from "../cli_context.ts";

/**
 * Passes this process's standard input on to a task, and its end. Waits while the command does not read. Ends early with
 * the connection: a later one does not take the input up again. A read that waits cannot be called off, so nobody should
 * wait for this; it never rejects.
 */
export async function sendInput(
  stream: Pick<ControlStream<"tasks.run">, "send">,
  { stdin, stderr }: Pick<CliContext, "stdin" | "stderr">,
): Promise<void> {
  const buffer = new Uint8Array(MAX_FRAME_PAYLOAD_BYTES);
  try {
    for (let count = await stdin.read(buffer); count !== null; count = await stdin.read(buffer)) {
      if (!await stream.send(encodeFrame("data", buffer.subarray(0, count)))) return;
    }
  } catch (error) {
    await stderr.print(
      `apex: cannot read standard input: ${messageOf(error)}; the command reads the end of its input`,
    );
  }
  await stream.send(encodeFrame("eof"));
}
