import { assertEquals, assertThrows } from "@std/assert";
import { environmentOf, publishedPort, readEnvFile } from "../../../src/cli/args/container_flags.ts";
import { ApexError } from "../../../src/platform/apex_error.ts";
import type { PortRequest } from "../../../src/protocol/operation.ts";
import { CapturedOutput, testContext } from "../../support/daemons/cli_context.ts";
import { TempDir } from "../../support/temp_dir.ts";

Deno.test("readEnvFile() reads Docker's format", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(
    dir.join("env"),
    `\ufeffA=1\r\n# comment\n\n  # another\n  B= x "y" # part of it\nC\nD=\nE=a=b`,
  );
  assertEquals(readEnvFile("env", { cwd: dir.path }), [
    "A=1",
    `B= x "y" # part of it`,
    "C",
    "D=",
    "E=a=b",
  ]);
});

Deno.test("readEnvFile() names the file and line of an invalid setting", async () => {
  await using dir = await TempDir.make();
  const cases: [content: string | Uint8Array, message: string][] = [
    ["A=1\n=x\n", "env:2: missing name before ="],
    ["MY VAR=1", 'env:1: the name "MY VAR" contains a space'],
    ["export A=1", 'env:1: the name "export A" contains a space'],
    [new Uint8Array([0x41, 0x3d, 0xff]), "cannot read env: it is not UTF-8"],
  ];
  for (const [content, message] of cases) {
    await Deno.writeFile(
      dir.join("env"),
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    const error = assertThrows(
      () => readEnvFile("env", { cwd: dir.path }),
      ApexError,
      `--env-file: ${message}`,
    );
    assertEquals(error.code, "usage");
  }
  assertThrows(
    () => readEnvFile("no-such", { cwd: dir.path }),
    ApexError,
    "--env-file: cannot read no-such: ",
  );
});

Deno.test("environmentOf() prefers later files to earlier ones, and -e to files", async () => {
  await using dir = await TempDir.make();
  await Deno.writeTextFile(dir.join("one"), "A=1\nB=1\nC=1\nHERE\nUNSET\n");
  await Deno.writeTextFile(dir.join("two"), "B=2\nC=2\n");
  const context = testContext({
    stdout: new CapturedOutput(),
    cwd: dir.path,
    env: (name) => name === "HERE" ? "here" : undefined,
  });
  assertEquals(environmentOf({ env: ["C=3"], envFile: ["one", dir.join("two")] }, context), {
    A: "1",
    B: "2",
    C: "3",
    HERE: "here",
  });
});

const PORTS: [text: string, port: PortRequest][] = [
  ["80", { containerPort: 80, protocol: "tcp" }],
  ["53/udp", { containerPort: 53, protocol: "udp" }],
  ["8080:80", { containerPort: 80, hostPort: 8080, protocol: "tcp" }],
  ["8080:80/tcp", { containerPort: 80, hostPort: 8080, protocol: "tcp" }],
  ["127.0.0.1:8080:80", { containerPort: 80, hostPort: 8080, hostIp: "127.0.0.1", protocol: "tcp" }],
  ["127.0.0.1::80", { containerPort: 80, hostIp: "127.0.0.1", protocol: "tcp" }],
  ["[::1]:8080:80/sctp", { containerPort: 80, hostPort: 8080, hostIp: "::1", protocol: "sctp" }],
];

for (const [text, port] of PORTS) {
  Deno.test(`publishedPort() reads ${text}`, () => assertEquals(publishedPort(text), port));
}

const INVALID_PORTS: [text: string, message: string][] = [
  ["", 'invalid port mapping "" (expected: PORT, HOSTPORT:PORT or IP:HOSTPORT:PORT'],
  ["http", "invalid port mapping"],
  ["80/icmp", "invalid port mapping"],
  ["localhost:8080:80", "invalid port mapping"],
  ["8080:80:1:2", "invalid port mapping"],
  ["8000-8010:80", "port ranges are not supported"],
  ["0", "port numbers range from 1 to 65535"],
  ["65536:80", "port numbers range from 1 to 65535"],
];

for (const [text, message] of INVALID_PORTS) {
  Deno.test(`publishedPort() rejects "${text}" and names the flag`, () => {
    const error = assertThrows(() => publishedPort(text), ApexError, message);
    assertEquals([error.code, /^-p: /.test(error.message) && error.message.includes(`"${text}"`)], [
      "usage",
      true,
    ]);
  });
}
