import { ApexError } from "../../platform/apex_error.ts";
import type { SocketPaths } from "../../platform/directories.ts";
import type { CliContext } from "../cli_context.ts";

/** At a terminal, an empty screen would leave a newcomer wondering. */
export async function tellThatItWaits({ stdout, stderr }: CliContext, sockets: SocketPaths): Promise<void> {
  if (!stdout.isTerminal) return;
  const { request } = await import("../../client/control_exchange.ts");
  try {
    const { engine } = await request(sockets.controlSocket, "status", {});
    const name = engine.kind ? `${engine.kind} ${engine.version ?? ""}`.trimEnd() : "engine";
    const how = engine.state === "connected" ? `following ${name}` : `${name} is ${engine.state}`;
    await stderr.print(`apex: ${how} (${engine.socket}); waiting for events, Ctrl-C ends`);
  } catch (error) {
    // The events are what was asked for; a daemon that does not answer otherwise is no reason to withhold them.
    if (!(error instanceof ApexError)) throw error;
  }
}
