/** Holds EVENTS.md to the schemas, and runs its examples against a scripted daemon. */
import { assert, assertEquals } from "@std/assert";
import { dirname } from "@std/path/posix";
import { TextLineStream } from "@std/streams/text-line-stream";
import * as v from "valibot";
import { eventOperations, streamRecordSchemas } from "../src/protocol/event_operations.ts";
import { taskSpecSchema } from "../src/protocol/task_operations.ts";
import { wireEventSchemas } from "../src/protocol/wire_event.ts";
import { eventually } from "./support/daemons/apex_process.ts";
import { TestDaemon } from "./support/daemons/test_daemon.ts";
import { TestEngine } from "./support/engines/embedded_engine.ts";
import { ScriptedServer, send } from "./support/engines/scripted_server.ts";
import { isInstalled } from "./support/programs.ts";
import { TempDir } from "./support/temp_dir.ts";

const DOCUMENT = await Deno.readTextFile(new URL("../EVENTS.md", import.meta.url));

/** `string`, `no` for an optional one, …: as the document's tables say it. */
interface Field {
  readonly type: string;
  readonly always: "yes" | "no";
}

type Entries = { readonly entries: v.ObjectEntries };

type Fields = Record<string, Field>;

/** What of a valibot schema tells its JSON type. */
interface Schema {
  readonly type: string;
  readonly wrapped?: Schema;
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

/** The rows of the tables in a stretch of the document. */
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

/** Fields by event type, as the document has them under the headings that name the types. */
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

Deno.test("EVENTS.md has every field of a task, in order", () => {
  const [, text = ""] = DOCUMENT.split("**The fields of a task**");
  const rows = [...text.split(/^#/m)[0]!.matchAll(/^\| (`.+?`) \|/gm)].slice(0);
  const documentedNames = rows.flatMap(([, names = ""]) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name)
  );
  const fields = Object.keys(taskSpecSchema.entries);
  assertEquals(documentedNames.slice(0, fields.length), fields);
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
