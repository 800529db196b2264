/** Published ports, in the engine's words. */
import { ApexError } from "../../platform/apex_error.ts";
import type { PortMapping } from "./container_spec.ts";

/** Of `ExposedPorts`: `{ "80/tcp": {} }`. */
export function exposedPorts(ports: readonly PortMapping[]): Record<string, Record<string, never>> {
  return Object.fromEntries(ports.map((port) => [portName(port), {}]));
}

/**
 * Of `HostConfig.PortBindings`: `{ "80/tcp": [{ HostIp: "", HostPort: "8080" }] }`. With an empty `HostPort` the engine
 * chooses one.
 * @throws {ApexError} `usage`, naming a port that does not exist
 */
export function portBindings(ports: readonly PortMapping[]): Record<string, unknown[]> {
  const bindings: Record<string, unknown[]> = {};
  for (const port of ports) {
    const { hostIp = "", hostPort } = port;
    checkPort(port.containerPort);
    if (hostPort !== undefined) checkPort(hostPort);
    (bindings[portName(port)] ??= []).push({ HostIp: hostIp, HostPort: hostPort?.toString() ?? "" });
  }
  return bindings;
}

function portName({ containerPort, protocol }: PortMapping): string {
  return `${containerPort}/${protocol}`;
}

function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return;
  throw new ApexError("usage", `invalid port ${port}: use 1 to 65535`);
}
