/** The requests about containers: parses parameters, calls the container, and replies with Docker's statuses. */
import { parseEngineSignal } from "../../platform/signals.ts";
import type { ContainerIndex } from "../containers/container_index.ts";
import { EXIT_CONDITIONS } from "../containers/container_run.ts";
import type { EmbeddedContainer } from "../containers/embedded_container.ts";
import { emptyReply, HttpError, type HttpReply, type HttpRequest, jsonReply } from "../http/http_message.ts";
import type { PathParameters, Route } from "../http/router.ts";
import { checkTerminals } from "../processes/terminal_plan.ts";
import { checkSources } from "../spec/bind_mounts.ts";
import { type CreateSpec, parseCreateRequest } from "../spec/create_request.ts";
import type { ImageStore } from "../spec/image_store.ts";
import { checkContainerName, randomName } from "../spec/names.ts";
import { checkOwnUser, checkPlatform } from "../spec/unsupported_options.ts";
import { inspectionOf, summaryOf } from "./container_view.ts";
import { checkContainerFilters, matchesContainerFilters, parseFilters } from "./filters.ts";
import { booleanParameter, integerParameter, jsonBody } from "./parameters.ts";

export interface ContainerRoutesOptions {
  readonly containers: ContainerIndex;
  readonly images: ImageStore;
  readonly now: () => number;
  /** Creates a container, adds it to the index and publishes its `create`, in one synchronous block. */
  readonly create: (name: string, spec: CreateSpec) => EmbeddedContainer;
}

export function containerRoutes(options: ContainerRoutesOptions): Route[] {
  const { containers } = options;
  type OnContainer = (container: EmbeddedContainer, request: HttpRequest) => Promise<HttpReply> | HttpReply;
  const on = (handle: OnContainer) => (request: HttpRequest, { id = "" }: PathParameters) =>
    handle(containers.get(id), request);
  return [
    { method: "GET", path: "/containers/json", handle: (request) => list(request, options) },
    { method: "POST", path: "/containers/create", handle: (request) => create(request, options) },
    { method: "GET", path: "/containers/{id}/json", handle: on(inspect) },
    { method: "POST", path: "/containers/{id}/start", handle: on(start) },
    { method: "POST", path: "/containers/{id}/stop", handle: on(stop) },
    { method: "POST", path: "/containers/{id}/restart", handle: on(restart) },
    {
      method: "POST",
      path: "/containers/{id}/kill",
      handle: (request, { id = "" }) => kill(request, { containers, id }),
    },
    {
      method: "POST",
      path: "/containers/{id}/pause",
      handle: on((container) => (container.pause(), emptyReply(204))),
    },
    {
      method: "POST",
      path: "/containers/{id}/unpause",
      handle: on((container) => (container.unpause(), emptyReply(204))),
    },
    { method: "POST", path: "/containers/{id}/wait", handle: on(wait) },
    {
      method: "POST",
      path: "/containers/{id}/rename",
      handle: (request, { id = "" }) => rename(request, { containers, id }),
    },
    { method: "DELETE", path: "/containers/{id}", handle: on(remove) },
  ];
}

function list(request: HttpRequest, { containers, now }: ContainerRoutesOptions): HttpReply {
  const limit = integerParameter(request.query, { name: "limit", badStatus: 500 }) ?? 0;
  const filters = parseFilters(request.query.get("filters"));
  checkContainerFilters(filters);
  const all = booleanParameter(request.query, "all") || limit > 0 || filters.has("status") ||
    filters.has("exited");
  const matching = containers.list().filter((container) =>
    (all || container.isRunning) && matchesContainerFilters(container, filters)
  );
  const shown = limit > 0 ? matching.slice(0, limit) : matching;
  return jsonReply(200, shown.map((container) => summaryOf(container, now())));
}

async function create(request: HttpRequest, options: ContainerRoutesOptions): Promise<HttpReply> {
  const asked = request.query.get("name")?.replace(/^\//, "") ?? "";
  if (asked !== "") checkContainerName(asked);
  const { spec, warnings } = parseCreateRequest(jsonBody(request));
  checkPlatform(request.query);
  options.images.check(spec.image);
  await checkOwnUser(spec.user);
  await checkSources(spec.mounts, { make: false });
  if (spec.tty) await checkTerminals();
  const name = asked === "" ? randomName((candidate) => options.containers.hasName(candidate)) : asked;
  options.containers.checkFree(name);
  const { id } = options.create(name, spec);
  return jsonReply(201, { Id: id, Warnings: warnings });
}

function inspect(container: EmbeddedContainer): HttpReply {
  return jsonReply(200, inspectionOf(container));
}

async function start(container: EmbeddedContainer): Promise<HttpReply> {
  return emptyReply(await container.start() ? 204 : 304);
}

async function stop(container: EmbeddedContainer, { query }: HttpRequest): Promise<HttpReply> {
  const timeoutSeconds = integerParameter(query, { name: "t", badStatus: 400 });
  return emptyReply(await container.stop(timeoutSeconds) ? 204 : 304);
}

async function restart(container: EmbeddedContainer, { query }: HttpRequest): Promise<HttpReply> {
  await container.restart(integerParameter(query, { name: "t", badStatus: 400 }));
  return emptyReply(204);
}

/** As in Docker, the signal is checked before the container, and the message for a missing container has a prefix. */
async function kill(
  request: HttpRequest,
  { containers, id }: { containers: ContainerIndex; id: string },
): Promise<HttpReply> {
  const text = request.query.get("signal") || "KILL";
  const signal = parseEngineSignal(text);
  if (signal === undefined) throw new HttpError(400, `Invalid signal: ${text}`);
  let container: EmbeddedContainer;
  try {
    container = containers.get(id);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    throw new HttpError(error.status, `Cannot kill container: ${id}: ${error.message}`, { cause: error });
  }
  await container.kill(signal);
  return emptyReply(204);
}

/** Sends the headers at once, so that the client knows that it waits; the result follows when it is known. */
function wait(container: EmbeddedContainer, { query, abort }: HttpRequest): HttpReply {
  const text = query.get("condition") || "not-running";
  const condition = EXIT_CONDITIONS.find((known) => known === text);
  if (condition === undefined) throw new HttpError(400, `invalid condition: ${JSON.stringify(text)}`);
  const result = container.wait(condition, abort);
  result.catch(() => {}); // Awaited in `produce`, unless the client disconnects before the headers are written.
  return {
    kind: "stream",
    status: 200,
    contentType: "application/json",
    produce: async (write) => {
      const { exitCode, error } = await result;
      const body = { StatusCode: exitCode, ...error !== undefined && { Error: { Message: error } } };
      await write(new TextEncoder().encode(JSON.stringify(body) + "\n"));
    },
  };
}

function rename(
  request: HttpRequest,
  { containers, id }: { containers: ContainerIndex; id: string },
): HttpReply {
  const name = request.query.get("name")?.replace(/^\//, "") ?? "";
  if (name === "") throw new HttpError(400, "Neither old nor new names may be empty");
  containers.rename(containers.get(id), name);
  return emptyReply(204);
}

async function remove(container: EmbeddedContainer, { query }: HttpRequest): Promise<HttpReply> {
  await container.remove({ force: booleanParameter(query, "force") });
  return emptyReply(204);
}
