import { assert, assertEquals, assertMatch } from "@std/assert";
import { decodeRequest } from "../../../src/daemon/control_socket/decode_request.ts";
import { OPERATIONS } from "../../../src/protocol/operations.ts";

function decode(text: string) {
  return decodeRequest(new TextEncoder().encode(text));
}

const requests: string[] = [
  `{"v":1,"op":"status"}`,
  `{"v":1,"op":"containers.inspect","target":"web"}`,
  `{"v":1,"op":"containers.logs","target":"web","follow":true,"tail":0,"sinceMs":1.5,"timestamps":true}`,
  `{"v":1,"op":"tasks.run","task":{}}`,
  `{"v":1,"op":"tasks.run","task":{"image":"i","cmd":["a"],"env":{"K":"V"},"cpus":0.5,"memoryBytes":6291456,` +
  `"mounts":[{"source":"/a","target":"/b","readOnly":true}],"timeoutMs":1000,"keepOnFailure":true}}`,
  `{"v":1,"op":"tasks.list","all":true}`,
  `{"v":1,"op":"tasks.cancel","task":"t"}`,
  `{"v":1,"op":"tasks.signal","task":"t","signal":"SIGINT"}`,
  `{"v":1,"op":"tasks.wait","task":"t"}`,
  `{"v":1,"op":"workspaces.list"}`,
  `{"v":1,"op":"workspaces.clean","names":["a","b"]}`,
];

for (const line of requests) {
  Deno.test(`decodeRequest() accepts ${line}`, () => {
    assertEquals<unknown>(decode(line), { request: JSON.parse(line) });
  });
}

Deno.test("decodeRequest() accepts status and stop of any protocol, with any fields", () => {
  for (const op of ["status", "stop"] as const) {
    assertEquals<unknown>(decode(`{"v":7,"op":"${op}","new":true}`), { request: { v: 1, op } });
  }
});

const refusals: [name: string, line: string, code: string, message: RegExp][] = [
  ["an empty line", "", "protocol", /not JSON in UTF-8/],
  ["what is not JSON", "GET / HTTP/1.1\r", "protocol", /not JSON in UTF-8/],
  ["what is not an object", "[1]", "protocol", /not of the form \{"v":1,"op":"…"\}/],
  ["no version", `{"op":"status"}`, "protocol", /not of the form/],
  [
    "another version",
    `{"v":2,"op":"containers.list"}`,
    "protocol",
    /^the daemon \(pid \d+\) is apex .* and speaks control protocol 1, the request is of protocol 2; .*: apex restart$/,
  ],
  [
    "an unknown operation",
    `{"v":1,"op":"stauts"}`,
    "usage",
    /^no such operation: "stauts" \(did you mean "status"\?\)$/,
  ],
  ["no target", `{"v":1,"op":"containers.logs"}`, "usage", /^containers\.logs: [^]*target/],
  ["half a line", `{"v":1,"op":"containers.logs","target":"t","tail":1.5}`, "usage", /tail/],
  [
    "no name at all",
    `{"v":1,"op":"tasks.cancel","task":""}`,
    "usage",
    /^tasks\.cancel: task must not be empty$/,
  ],
  ["a name beyond all names", `{"v":1,"op":"tasks.wait","task":"${"x".repeat(257)}"}`, "usage", /task/],
  ["memory as text", `{"v":1,"op":"tasks.run","task":{"memoryBytes":"12x"}}`, "usage", /memoryBytes/],
  [
    "a mount without a target",
    `{"v":1,"op":"tasks.run","task":{"mounts":[{"source":"/a"}]}}`,
    "usage",
    /target/,
  ],
  [
    "a name of Object's own",
    `{"v":1,"op":"constructor"}`,
    "usage",
    /^no such operation: "constructor" \(the operations are: status, /,
  ],
];

for (const [name, line, code, message] of refusals) {
  Deno.test(`decodeRequest() refuses ${name}`, () => {
    const decoded = decode(line);
    assert("error" in decoded);
    assertEquals<string>(decoded.error.code, code);
    assertMatch(decoded.error.message, message);
  });
}

Deno.test("decodeRequest() refuses bytes that are not UTF-8", () => {
  const decoded = decodeRequest(new Uint8Array([0xff, 0xfe]));
  assert("error" in decoded);
  assertEquals(decoded.error.code, "protocol");
});

/** Messages about an invalid task, without the name of the operation. */
const tasks: [task: unknown, message: string][] = [
  [{ memroy: 8_388_608 }, 'task.memroy is not a field that this daemon knows (did you mean "memoryBytes"?)'],
  [{ timeout: "5s" }, 'task.timeout is not a field that this daemon knows (did you mean "timeoutMs"?)'],
  [{ workDir: "/" }, 'task.workDir is not a field that this daemon knows (did you mean "workdir"?)'],
  [
    { mounts: [{ source: "/a", target: "/b", readonly: true }] },
    'task.mounts.0.readonly is not a field that this daemon knows (did you mean "readOnly"?)',
  ],
  [
    { mounts: [{ source: "/a", target: "/b", propagation: "shared" }] },
    "task.mounts.0.propagation is not a field that this daemon knows (it knows: source, target, readOnly)",
  ],
  [{ env: ["FOO=1"] }, "task.env must be an object of strings, not an array"],
  [{ env: { FOO: 1 } }, "task.env.FOO must be a string, not 1"],
  [{ env: null }, "task.env must be an object of strings, not null"],
  [JSON.parse('{"env":{"__proto__":"x"}}'), "task.env.__proto__ is not a possible name"],
  [{ cmd: "echo hello" }, 'task.cmd must be an array of strings, not "echo hello"'],
  [{ cmd: { 0: "echo" } }, "task.cmd must be an array of strings, not an object"],
  [{ mounts: {} }, "task.mounts must be an array of objects, not an object"],
  [{ mounts: [[]] }, "task.mounts.0 must be an object, not an array"],
  [{ mounts: [{ source: "/a" }] }, "task.mounts.0.target is missing"],
  [{ keep: "yes" }, 'task.keep must be true or false, not "yes"'],
  [
    { labels: { "apex.managed": "true" } },
    'task.labels.apex.managed is reserved for apex, as is every label that begins with "apex."',
  ],
  [{ ports: [{ containerPort: 70_000 }] }, "task.ports.0.containerPort must be at most 65535, not 70000"],
  [{ ports: ["80"] }, 'task.ports.0 must be an object, not "80"'],
  [{ gpus: "some" }, 'task.gpus must be "all" or a number or an array, not "some"'],
  [{ pull: "sometimes" }, 'task.pull must be "missing" or "always" or "never", not "sometimes"'],
  [{ cpus: 0 }, "task.cpus must be greater than 0, not 0"],
  [{ pidsLimit: 1.5 }, "task.pidsLimit must be a whole number, not 1.5"],
  [{ image: "x".repeat(257) }, "task.image must not have more than 256 characters"],
  [[], "task must be an object, not an array"],
  [{ keep: 1, cpus: "2" }, 'task.cpus must be a number, not "2"; task.keep must be true or false, not 1'],
];

for (const [task, message] of tasks) {
  Deno.test(`decodeRequest() says of the task ${JSON.stringify(task).slice(0, 60)}: ${message}`, () => {
    const decoded = decode(JSON.stringify({ v: 1, op: "tasks.run", task }));
    assert("error" in decoded, "it was accepted");
    assertEquals(decoded.error, { code: "usage", message: `tasks.run: ${message}` });
  });
}

Deno.test("decodeRequest() refuses a number that is too large for a double", () => {
  const decoded = decode(`{"v":1,"op":"tasks.run","task":{"timeoutMs":1e999}}`);
  assert("error" in decoded);
  assertEquals(decoded.error.message, "tasks.run: task.timeoutMs must be finite");
});

Deno.test("decodeRequest() shortens a message about many problems", () => {
  const env = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`V${index}`, index]));
  const decoded = decode(JSON.stringify({ v: 1, op: "tasks.run", task: { env } }));
  assert("error" in decoded);
  assertMatch(
    decoded.error.message,
    /^tasks\.run: task\.env\.V0 must be a string, not 0; [^]*; and 995 more$/,
  );
});

for (const op of Object.keys(OPERATIONS)) {
  Deno.test(`decodeRequest() refuses an unknown field of ${op}`, () => {
    const decoded = decode(JSON.stringify({ v: 1, op, extra: 1 }));
    assert("error" in decoded);
    assertMatch(decoded.error.message, /extra is not a field that this daemon knows/);
  });
}
