/** Compares EVENTS.md with the schemas and the table of operations, and runs its examples against a scripted daemon. */
import { assert, assertEquals } from "@std/assert";
import { dirname } from "@std/path/posix";
import { TextLineStream } from "@std/streams/text-line-stream";
import * as v from "valibot";
import { containerSchema, keptOutputSchema } from "../src/protocol/container_operations.ts";
import { statusResultSchema } from "../src/protocol/daemon_operations.ts";
import { eventOperations, streamRecordSchemas } from "../src/protocol/event_operations.ts";
import { FRAME_KINDS } from "../src/protocol/frames.ts";
import { type ControlOp, ERROR_CODES, OPERATIONS } from "../src/protocol/operations.ts";
import { sessionSchema } from "../src/protocol/session_operations.ts";
import { taskSchema, taskSpecSchema, workspaceSchema } from "../src/protocol/task_operations.ts";
import { wireEventSchemas } from "../src/protocol/wire_event.ts";
import { eventually } from "./support/daemons/apex_process.ts";
import { TestDaemon } from "./support/daemons/test_daemon.ts";
import { TestEngine } from "./support/engines/embedded_engine.ts";
import { ScriptedServer, send } from "./support/engines/scripted_server.ts";
import { isInstalled } from "./support/programs.ts";
import { TempDir } from "./support/temp_dir.ts";

const DOCUMENT = await Deno.readTextFile(new URL("../EVENTS.md", import.meta.url));

/** The type and the "always" column of a field in a table of the document. */
interface Field {
  readonly type: string;
  readonly always: "yes" | "no";
}

type Entries = { readonly entries: v.ObjectEntries };

type Fields = Record<string, Field>;

/** The parts of a valibot schema that describe its JSON type. */
interface Schema {
  readonly type: string;
  readonly wrapped?: Schema;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly options?: readonly string[];
  readonly literal?: string;
  readonly value?: Schema;
  readonly pipe?: readonly { readonly type: string }[];
}

function fieldOf(schema: Schema): Field {
  const { wrapped } = schema;
  return { type: jsonType(wrapped ?? schema), always: wrapped === undefined ? "yes" : "no" };
}

function jsonType(schema: Schema): string {
  switch (schema.type) {
    case "literal":
      return `\`"${schema.literal}"\``;
    case "picklist":
      return schema.options!.map((option) => `\`"${option}"\``).join(", ");
    case "record":
      return `object of ${jsonType(schema.value!)}s`;
    case "string":
      return schema.pipe?.some((step) => step.type === "iso_timestamp") ? "time" : "string";
    default:
      return schema.type;
  }
}

function schemaFields(entries: Record<string, Schema>): Fields {
  const { type: _, ...fields } = entries;
  return Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, fieldOf(schema)]));
}

/** The fields in the tables of a part of the document. */
function tableFields(text: string): Fields {
  const rows = text.matchAll(/^\| `(\w+)` \| (.+?) \| (yes|no) \|/gm);
  return Object.fromEntries(
    [...rows].map(([, name, type, always]) => [name, { type, always }]),
  ) as Fields;
}

function section(heading: RegExp): string {
  const start = DOCUMENT.search(heading);
  assert(start >= 0, `EVENTS.md has no ${heading}`);
  return DOCUMENT.slice(start).split(/^#{2,4} /m)[1] ?? "";
}

const baseFields = tableFields(section(/^### Base fields$/m));

/** The documented fields of each event type, from the sections whose headings name the types. */
const documented = new Map<string, Fields>();
for (const [heading] of DOCUMENT.matchAll(/^#### `.+$/gm)) {
  const text = section(new RegExp(`^${heading.replaceAll(".", "\\.")}$`, "m"));
  const fields = { ...(text.includes("The base fields") ? baseFields : {}), ...tableFields(text) };
  for (const [, type] of heading.matchAll(/`([a-z_.]+)`/g)) documented.set(type!, fields);
}

Deno.test("EVENTS.md names every stream record with all of its fields, and every field of a subscription", () => {
  const resuming = section(/^## Resuming$/m);
  const rows = [...resuming.matchAll(/^\| `(stream\.\w+)` \| (.+?) \|/gm)];
  const documentedNames = rows.map((
    [, type, fields],
  ) => [type, [...fields!.matchAll(/`(\w+)`/g)].map(([, name]) => name)]);
  const records = Object.entries(streamRecordSchemas).map(([type, { entries: { type: _, ...fields } }]) => {
    return [type, Object.keys(fields)];
  });
  assertEquals(documentedNames, records);
  const { v: _v, op: _op, ...asked } = eventOperations["events.subscribe"].request.entries;
  const [questions = ""] = resuming.split("**Cursors.**");
  assertEquals([...questions.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name), Object.keys(asked));
});

/** The section on the control socket. */
const CONTROL_SOCKET = DOCUMENT.split(/^## The control socket$/m)[1]!.split(/^## /m)[0]!;

/** The subsections of the control socket by heading. */
const subjects = new Map(
  CONTROL_SOCKET.split(/^### /m).slice(1).map((text) => [text.slice(0, text.indexOf("\n")), text]),
);

/** Each row of the tables of operations: name, request fields, result fields, kind. */
const operationRows = [
  ...CONTROL_SOCKET.matchAll(/^\| `([a-z.]+)` \|(.*?)\|(.*?)\| (reply|lines|frames) \|/gm),
].map(([, op = "", request = "", result = "", kind = ""]) => ({ op, request, result, kind }));

/** The words in code spans. */
function codeSpans(text: string): string[] {
  return [...text.matchAll(/`([\w?]+)`/g)].map(([, word]) => word!);
}

/** The names in the first column of the table with this header. */
function firstColumn(text: string, header: string): string[] {
  const table = text.split(`\n| ${header} |`)[1]?.split("\n\n")[0] ?? "";
  return [...table.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, names = ""]) => codeSpans(names));
}

function withMarks(entries: object, isShown: (name: string) => boolean = () => true): string[] {
  return Object.entries(entries as Record<string, Schema>).filter(([name]) => isShown(name))
    .map(([name, { type }]) => type === "optional" ? `${name}?` : name);
}

Deno.test("EVENTS.md names each operation with its request fields, its result fields and its kind", () => {
  assertEquals(operationRows.map(({ op }) => op).sort(), Object.keys(OPERATIONS).sort());
  for (const { op, request, result, kind } of operationRows) {
    const declared = OPERATIONS[op as ControlOp];
    assertEquals(
      codeSpans(request),
      withMarks(declared.request.entries, (name) => !/^(v|op)$/.test(name)),
      op,
    );
    // The result of `status` is a table of its own.
    if (op !== "status") assertEquals(codeSpans(result), withMarks(declared.result.entries), op);
    assertEquals(kind, declared.kind, op);
  }
});

Deno.test("EVENTS.md describes each request field and each result field of each subject", () => {
  const withOperations = [...subjects].filter(([, text]) => text.includes("\n| operation | request |"));
  assertEquals(withOperations.length, 6);
  for (const [subject, text] of withOperations) {
    const rows = operationRows.filter(({ op }) => text.includes(`\n| \`${op}\` |`));
    for (const part of ["request", "result"] as const) {
      const named = rows.flatMap((row) => codeSpans(row[part])).map((name) => name.replace("?", ""));
      const described = firstColumn(text, `${part} field`);
      // The only field of `stop` needs no table.
      if (subject !== "The daemon") assertEquals(new Set(described), new Set(named), `${subject}: ${part}`);
    }
  }
});

Deno.test("EVENTS.md names no unknown operation", () => {
  const named = [...CONTROL_SOCKET.matchAll(/`((?:containers|tasks|workspaces|sessions|events)\.[a-z]+)/g)];
  const counts = ["sessions.attached", "sessions.detached", "tasks.running", "tasks.pending"];
  const known: readonly string[] = [...Object.keys(OPERATIONS), ...counts, "events.socket"];
  assertEquals(named.map(([, name]) => name!).filter((name) => !known.includes(name)), []);
});

/** All fields of an object with those of its inner objects, as `name always`. */
function flatFields(entries: object, prefix = ""): string[] {
  return Object.entries(entries as Record<string, Schema>).flatMap(([name, schema]) => {
    const { entries: inner } = schema.wrapped ?? schema;
    const row = `${prefix}${name} ${schema.type === "optional" ? "no" : "yes"}`;
    return inner === undefined ? [row] : [row, ...flatFields(inner, `${prefix}${name}.`)];
  });
}

const objects: readonly (readonly [title: string, schema: Entries])[] = [
  ["**Status.**", statusResultSchema],
  ["**A container**", containerSchema],
  ["**Stored output.**", keptOutputSchema],
  ["**A task**", taskSchema],
  ["**A workspace**", workspaceSchema],
  ["**A session**", sessionSchema],
];

for (const [title, { entries }] of objects) {
  Deno.test(`EVENTS.md has every field under ${title}`, () => {
    const table = CONTROL_SOCKET.split(title)[1]?.split("| field |")[1]?.split("\n\n")[0] ?? "";
    const rows = [...table.matchAll(/^\| `([\w.]+)` \| .+? \| (yes|no) \|/gm)];
    assertEquals(rows.map(([, name, always]) => `${name} ${always}`), flatFields(entries));
  });
}

Deno.test("EVENTS.md has every field of a task that a client runs, in order", () => {
  const [, text = ""] = CONTROL_SOCKET.split("**The fields of a task**");
  assertEquals(firstColumn(text, "field"), Object.keys(taskSpecSchema.entries));
});

Deno.test("EVENTS.md has every error code and every kind of frame, and no other", () => {
  assertEquals(firstColumn(subjects.get("Error codes") ?? "", "code"), [...ERROR_CODES]);
  const frames = [...(subjects.get("Frames") ?? "").matchAll(/^\| (\d+) \| `(\w+)` \|/gm)];
  assertEquals(Object.fromEntries(frames.map(([, code, kind]) => [kind, Number(code)])), FRAME_KINDS);
});

Deno.test("EVENTS.md describes every event type, and no other", () => {
  assertEquals([...documented.keys()].sort(), Object.keys(wireEventSchemas).sort());
});

for (const [type, schema] of Object.entries(wireEventSchemas)) {
  Deno.test(`EVENTS.md has the fields of ${type} as the schema has them`, () => {
    assertEquals(documented.get(type), schemaFields(schema.entries as unknown as Record<string, Schema>));
  });
}

Deno.test("every event that EVENTS.md shows on a line of its own fits its schema", () => {
  const events = [...DOCUMENT.matchAll(/^\{"type":.*\}$/gm)].map(([line]) => JSON.parse(line));
  assert(events.length > 0, "no example line found");
  const schemas: Record<string, Entries> = wireEventSchemas;
  for (const event of events) v.parse(v.strictObject(schemas[event.type]!.entries), event);
});

const WEB = `"containerId":"w1","containerName":"web","image":"nginx","timestamp":"2025-03-01T12:00:00.000Z"`;
const JOB =
  `"containerId":"j1","containerName":"job","image":"busybox","timestamp":"2025-03-01T12:00:01.000Z"`;
const EVENTS = [
  `{"type":"container.started",${JOB}}`,
  `{"type":"something.newer","n":1}`,
  `{"type":"container.died",${JOB},"exitCode":3,"oomKilled":false,"later":{"x":1}}`,
  `{"type":"container.stopped",${WEB},"exitCode":0,"graceful":true}`,
  `{"type":"container.died",${JOB},"exitCode":9`, // cut off: no client may use it
].join("\n");
const LIST =
  `{"ok":true,"result":{"containers":[{"id":"w1","name":"web","image":"nginx","state":"running","labels":{}}]}}\n`;

interface Example {
  readonly name: string;
  readonly command: readonly string[];
  readonly needs: readonly string[];
  readonly stdout: string;
  /** Exit status where the stream was cut off. */
  readonly cutStatus: number;
}

const examples: Example[] = [
  { name: "shell", command: ["/bin/sh"], needs: ["socat", "jq"], stdout: "job 3\n", cutStatus: 6 },
  {
    name: "python",
    command: ["python3"],
    needs: ["python3"],
    stdout: ["['web']", "['job', 'web']", "['web']", "[]"].map((names) => `running: ${names}\n`).join(""),
    cutStatus: 1,
  },
  {
    name: "typescript",
    command: [Deno.execPath(), "run", "-A", "--quiet", "--no-config", "--check"],
    needs: [],
    stdout: "job 3\n",
    cutStatus: 6,
  },
];

function exampleText(name: string): string {
  const match = DOCUMENT.match(new RegExp(`<!-- example: ${name} -->\n\`\`\`\\w+\n([^]*?)^\`\`\`$`, "m"));
  assert(match?.[1], `EVENTS.md has no ${name} example`);
  return match[1];
}

/** Runs an example against a daemon that sends {@linkcode EVENTS} and ends, by shutdown or not. */
async function runExample({ name, command }: Example, ending: "shutdown" | "cut") {
  await using dir = await TempDir.make();
  const file = dir.join(name === "typescript" ? "example.ts" : "example");
  await Deno.writeTextFile(file, exampleText(name));
  const listed = Promise.withResolvers<void>();
  if (name !== "python") listed.resolve();
  await using _control = new ScriptedServer(dir.join("apex.socket"), async (conn) => {
    await conn.read(new Uint8Array(1024));
    await send(conn, LIST);
    listed.resolve();
  });
  await using _events = new ScriptedServer(dir.join("events.socket"), async (conn) => {
    await listed.promise;
    await send(conn, EVENTS);
    if (ending === "shutdown") await Deno.remove(dir.join("events.socket"));
  });
  const [program = "", ...args] = [...command, file];
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    env: { APEX_RUNTIME_DIR: dir.path },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { status: code, stdout: text.decode(stdout), complaint: text.decode(stderr).includes("cut off") };
}

for (const example of examples) {
  Deno.test({
    name: `the ${example.name} example of EVENTS.md follows events and distinguishes a shutdown from a cut`,
    ignore: !example.needs.every(isInstalled),
    async fn() {
      const { stdout, cutStatus } = example;
      assertEquals(await runExample(example, "shutdown"), { status: 0, stdout, complaint: false });
      assertEquals(await runExample(example, "cut"), { status: cutStatus, stdout, complaint: true });
    },
  });
}

Deno.test({
  name: "the resumable example of EVENTS.md misses no event across restarts of itself and of the daemon",
  ignore: !isInstalled("python3"),
  async fn() {
    await using engine = await TestEngine.start();
    await using first = await TestDaemon.start(engine.socketPath);
    await using dir = await TempDir.make();
    const program = dir.join("died.py");
    await Deno.writeTextFile(program, exampleText("python-resume"));
    const follow = () => {
      const env = { APEX_RUNTIME_DIR: dirname(first.paths.eventsSocket) };
      const args = [program, dir.join("cursor")];
      return new FollowedOutput(
        new Deno.Command("python3", { args, env, stdin: "null", stdout: "piped" }).spawn(),
      );
    };
    const run = async (daemon: TestDaemon, taskId: string) => {
      await daemon.stream("tasks.run", { task: { taskId, cmd: ["sh", "-c", "exit 3"], network: "none" } });
    };
    {
      await using example = follow();
      await eventually(() => Deno.stat(dir.join("cursor")).then(() => true, () => false), "its first cursor");
      await run(first, "one");
      await example.line("apex-task-one 3");
    }
    await run(first, "two");
    await using example = follow();
    await example.line("apex-task-two 3");
    await using second = await first.restart(engine.socketPath);
    await run(second, "three");
    await example.line("apex-task-three 3");
    assertEquals(example.lines, ["apex-task-two 3", "apex-task-three 3"]);
  },
});

/** The lines that a process prints; disposal kills it. */
class FollowedOutput implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#reading = this.#read();
  }

  async line(text: string): Promise<void> {
    await eventually(() => this.lines.includes(text), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    const lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) this.lines.push(line);
  }
}
