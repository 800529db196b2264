/** A process has no image. These requests answer as if each well-formed reference named one, as clients expect. */
import type { ContainerStore } from "./container_store.ts";
import { HttpError } from "./http_error.ts";
import { type HttpReply, type HttpRequest, jsonReply } from "./http_message.ts";
import { checkImageReference, imageIdOf, withDefaultTag } from "./image_reference.ts";
import { ZERO_TIME } from "./nano_time.ts";
import type { Route } from "./router.ts";

export function imageRoutes(store: ContainerStore): Route[] {
  return [
    { method: "POST", path: "/images/create", handle: create },
    { method: "GET", path: "/images/json", handle: () => list(store) },
    { method: "GET", path: "/images/{name*}/json", handle: (_, { name = "" }) => inspect(name) },
  ];
}

/** Whether a request brings an image along, which may be of any size, and of which nothing is kept. */
export function isImport({ path, query }: { path: string; query: URLSearchParams }): boolean {
  return path.endsWith("/images/create") && query.has("fromSrc");
}

/** Pull and import: the progress lines of Docker, but nothing is fetched, and nothing kept. */
async function create({ query }: HttpRequest): Promise<HttpReply> {
  const source = query.get("fromImage") ?? "";
  if (query.has("fromSrc")) {
    const name = query.get("repo") ?? "";
    const reference = joined(name, query.get("tag") ?? "");
    if (name !== "") checkImageReference(reference);
    return progressReply([{ status: await imageIdOf(reference) }]);
  }
  if (source === "") throw new HttpError(400, "invalid reference format");
  const reference = joined(source, query.get("tag") ?? "");
  checkImageReference(reference);
  const [repository = "", tag] = splitTag(withDefaultTag(reference));
  return progressReply([
    { status: `Pulling from ${repository.includes("/") ? repository : `library/${repository}`}`, id: tag },
    { status: "The embedded engine downloads nothing: a container runs this machine's own programs" },
    { status: `Status: Image is up to date for ${withDefaultTag(reference)}` },
  ]);
}

function progressReply(lines: readonly Record<string, unknown>[]): HttpReply {
  return {
    kind: "stream",
    status: 200,
    contentType: "application/json",
    produce: async (write) => {
      for (const line of lines) await write(new TextEncoder().encode(JSON.stringify(line) + "\r\n"));
    },
  };
}

/** A `tag` parameter may be a digest. */
function joined(name: string, tag: string): string {
  if (tag === "") return name;
  return tag.includes(":") ? `${name}@${tag}` : `${name}:${tag}`;
}

function splitTag(reference: string): [string, string] {
  const digest = reference.indexOf("@");
  const at = digest >= 0 ? digest : reference.lastIndexOf(":");
  return [reference.slice(0, at), reference.slice(at + 1)];
}

/** The images that containers were made from. */
async function list(store: ContainerStore): Promise<HttpReply> {
  const references = new Set(store.list().map(({ spec }) => withDefaultTag(spec.image)));
  return jsonReply(
    200,
    await Promise.all([...references].map(async (reference) => ({
      Id: await imageIdOf(reference),
      ParentId: "",
      RepoTags: [reference],
      RepoDigests: [],
      Created: 0,
      Size: 0,
      SharedSize: -1,
      Labels: null,
      Containers: store.list().filter(({ spec }) => withDefaultTag(spec.image) === reference).length,
    }))),
  );
}

async function inspect(reference: string): Promise<HttpReply> {
  checkImageReference(reference);
  return jsonReply(200, {
    Id: await imageIdOf(reference),
    RepoTags: [withDefaultTag(reference)],
    RepoDigests: [],
    Parent: "",
    Comment: "",
    Created: ZERO_TIME,
    Config: { Env: null, Cmd: ["sh"], Entrypoint: null, Labels: null, WorkingDir: "", User: "" },
    Architecture: Deno.build.arch === "x86_64" ? "amd64" : "arm64",
    Os: "linux",
    Size: 0,
    RootFS: { Type: "layers", Layers: [] },
  });
}
