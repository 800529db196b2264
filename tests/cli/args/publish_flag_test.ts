import { assertEquals, assertThrows } from "@std/assert";
import { publishedPort } from "../../../src/cli/args/publish_flag.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { PortRequest } from "../../../src/protocol/request_schema.ts";

const cases: [text: string, port: PortRequest][] = [
  ["80", { containerPort: 80, protocol: "tcp" }],
  ["53/udp", { containerPort: 53, protocol: "udp" }],
  ["8080:80", { containerPort: 80, hostPort: 8080, protocol: "tcp" }],
  ["8080:80/tcp", { containerPort: 80, hostPort: 8080, protocol: "tcp" }],
  ["127.0.0.1:8080:80", { containerPort: 80, hostPort: 8080, hostIp: "127.0.0.1", protocol: "tcp" }],
  ["127.0.0.1::80", { containerPort: 80, hostIp: "127.0.0.1", protocol: "tcp" }],
  ["[::1]:8080:80/sctp", { containerPort: 80, hostPort: 8080, hostIp: "::1", protocol: "sctp" }],
];

for (const [text, port] of cases) {
  Deno.test(`publishedPort() takes ${text}`, () => assertEquals(publishedPort(text), port));
}

const refusals: [text: string, message: string][] = [
  ["", "is not a port mapping (expected: PORT, HOSTPORT:PORT or IP:HOSTPORT:PORT"],
  ["http", "is not a port mapping"],
  ["80/icmp", "is not a port mapping"],
  ["localhost:8080:80", "is not a port mapping"],
  ["8080:80:1:2", "is not a port mapping"],
  ["8000-8010:80", "ranges of ports are not supported"],
  ["0", "a port is a number from 1 to 65535"],
  ["65536:80", "a port is a number from 1 to 65535"],
];

for (const [text, message] of refusals) {
  Deno.test(`publishedPort() refuses "${text}"`, () => {
    const error = assertThrows(() => publishedPort(text), ApexError, message);
    assertEquals([error.code, error.message.startsWith(`-p: "${text}"`)], ["usage", true]);
  });
}
