import { ApexError } from "../../platform/apex_error.ts";
import type { PortRequest } from "../../protocol/request_schema.ts";

const FORM = /^(?:(?:(\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+){3}):)?(\d*):)?(\d+)(?:\/(tcp|udp|sctp))?$/;

/**
 * Of `-p [[IP:]HOSTPORT:]PORT[/PROTOCOL]`: a port of the container, and where the engine's machine has it.
 *
 * @throws {ApexError} `usage`, naming what is of another form
 */
export function publishedPort(text: string): PortRequest {
  const [, hostIp, hostPort, containerPort, protocol] = FORM.exec(text) ?? [];
  if (containerPort === undefined) {
    const remedy = text.includes("-")
      ? "ranges of ports are not supported; give -p for each port"
      : "expected: PORT, HOSTPORT:PORT or IP:HOSTPORT:PORT, with /tcp, /udp or /sctp behind it";
    throw new ApexError("usage", `-p: ${JSON.stringify(text)} is not a port mapping (${remedy})`);
  }
  return {
    containerPort: portNumber(text, containerPort),
    protocol: (protocol ?? "tcp") as PortRequest["protocol"],
    ...(hostPort && { hostPort: portNumber(text, hostPort) }),
    ...(hostIp !== undefined && { hostIp: hostIp.replace(/^\[(.*)\]$/, "$1") }),
  };
}

function portNumber(text: string, digits: string): number {
  const port = Number(digits);
  if (port >= 1 && port <= 65_535) return port;
  throw new ApexError("usage", `-p: ${JSON.stringify(text)}: a port is a number from 1 to 65535`);
}
