/** The requests about execs: further commands in a container (`docker exec`). */
import type { ContainerIndex } from "../containers/container_index.ts";
import { checkExec } from "../containers/container_state.ts";
import type { EmbeddedExec, ExecStore } from "../containers/embedded_exec.ts";
import { emptyReply, HttpError, type HttpReply, type HttpRequest, jsonReply } from "../http/http_message.ts";
import { type RawClient, rawStreamReply } from "../http/raw_stream.ts";
import type { Route } from "../http/router.ts";
import type { ContainerProcess, StdStream } from "../processes/container_process.ts";
import { encodeStreamFrame } from "../processes/output_record.ts";
import { checkTerminals } from "../processes/terminal_plan.ts";
import { parseExecCreate, parseExecStart } from "../spec/exec_request.ts";
import { checkOwnUser } from "../spec/unsupported_options.ts";
import { jsonBody, sizeParameters } from "./parameters.ts";

export interface ExecRoutesOptions {
  readonly containers: ContainerIndex;
  readonly execs: ExecStore;
}

export function execRoutes(options: ExecRoutesOptions): Route[] {
  return [
    {
      method: "POST",
      path: "/containers/{id}/exec",
      handle: (request, { id = "" }) => create(request, { ...options, id }),
    },
    {
      method: "POST",
      path: "/exec/{id}/start",
      handle: (request, { id = "" }) => start(request, { ...options, id }),
    },
    {
      method: "POST",
      path: "/exec/{id}/resize",
      handle: async ({ query }, { id = "" }) => {
        const size = sizeParameters(query);
        await startable({ ...options, id }).resize(size);
        return emptyReply(200);
      },
    },
    { method: "GET", path: "/exec/{id}/json", handle: (_, { id = "" }) => inspect({ ...options, id }) },
  ];
}

type Of = ExecRoutesOptions & { readonly id: string };

async function create(request: HttpRequest, { containers, execs, id }: Of): Promise<HttpReply> {
  const spec = parseExecCreate(jsonBody(request));
  if (spec.tty) await checkTerminals();
  await checkOwnUser(spec.user);
  const container = containers.get(id);
  checkExec(container, id);
  const exec = container.execs.create(spec);
  execs.add(exec);
  return jsonReply(201, { Id: exec.id });
}

function inspect(of: Of): HttpReply {
  const exec = startable(of);
  const { spec: { command: [entrypoint = "", ...args], ...spec }, status } = exec;
  return jsonReply(200, {
    ID: exec.id,
    Running: status === "running",
    ExitCode: exec.exitCode ?? null,
    ProcessConfig: {
      tty: spec.tty,
      entrypoint,
      arguments: args,
      privileged: false,
      ...spec.user !== "" && { user: spec.user },
    },
    OpenStdin: spec.attachStdin,
    OpenStderr: spec.attachStderr,
    OpenStdout: spec.attachStdout,
    CanRemove: false,
    ContainerID: exec.containerId,
    DetachKeys: spec.detachKeys,
    Pid: exec.pid,
  });
}

/** As in Docker, an exec that was never started ceases to exist when its container's process exits. */
function startable({ containers, execs, id }: Of): EmbeddedExec {
  const exec = execs.get(id);
  if (exec.status === "created" && !containers.get(exec.containerId).isRunning) {
    throw new HttpError(404, `No such exec instance: ${id}`);
  }
  return exec;
}

async function start(request: HttpRequest, of: Of): Promise<HttpReply> {
  const { detach } = parseExecStart(jsonBody(request));
  const exec = startable(of);
  if (exec.status === "created") checkExec(of.containers.get(exec.containerId), exec.containerId);
  if (detach) {
    await exec.start({ onOutput: () => {} });
    return emptyReply(200);
  }
  return rawStreamReply(request, { multiplexed: !exec.spec.tty, serve: (client) => serve(exec, client) });
}

/** Relays input and output until the command exits. A client that disconnects does not end the command. */
async function serve(exec: EmbeddedExec, { output, input }: RawClient): Promise<void> {
  const { attachStdin, attachStdout, attachStderr, tty } = exec.spec;
  const framed = (stream: StdStream, bytes: Uint8Array) => tty ? bytes : encodeStreamFrame(stream, bytes);
  const isAttached: Record<StdStream, boolean> = { stdout: attachStdout, stderr: attachStderr };
  const mainExited = Promise.withResolvers<void>();
  let process: ContainerProcess;
  try {
    process = await exec.start({
      stdin: attachStdin,
      onOutput: async (stream, chunk) => {
        if (!isAttached[stream]) return;
        output.push(framed(stream, chunk));
        // A slow client slows the command down. After the exit the rest of the output fits into the queue.
        if (!output.hasRoom) await Promise.race([output.room(), mainExited.promise]);
      },
    });
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return output.push(framed("stdout", new TextEncoder().encode(`${error.message}\r\n`)));
  }
  void process.mainExited.then(mainExited.resolve);
  await Promise.race([relay(input, process), exec.ended]);
  await exec.ended;
}

async function relay(input: AsyncIterable<Uint8Array>, process: ContainerProcess): Promise<void> {
  for await (const chunk of input) await process.input?.write(chunk);
  await process.input?.end();
}
