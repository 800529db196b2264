import type { TaskInput } from "../../orchestrator/task_input.ts";
import type { Frame } from "../../protocol/frames.ts";

/**
 * Carries what a client sends to its task's standard input: one frame after the other, so that a command that does not
 * read holds its client up, and 64 KiB are here at most. Reads on to the client's end, so that its going is noticed; that,
 * too, ends the standard input.
 *
 * @param input resolves right before the task starts; with undefined when it never does
 * @throws {FrameError} for bytes that are no frame; the standard input has been ended
 */
export async function carryInput(
  frames: AsyncIterable<Frame>,
  input: Promise<TaskInput | undefined>,
): Promise<void> {
  try {
    for await (const { kind, payload } of frames) {
      if (kind === "data") await (await input)?.write(payload);
      else if (kind === "eof") await (await input)?.end();
    }
  } finally {
    await (await input)?.end();
  }
}
