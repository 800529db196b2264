/** The requests about images. This engine has only busybox, with the names in its {@linkcode ImageStore}. */
import type { ContainerIndex } from "../containers/container_index.ts";
import { emptyReply, HttpError, type HttpReply, type HttpRequest, jsonReply } from "../http/http_message.ts";
import type { Route } from "../http/router.ts";
import { checkImageReference, familiarName, type ImageStore } from "../spec/image_store.ts";
import { ZERO_TIME } from "../spec/nano_time.ts";
import { checkPlatform } from "../spec/unsupported_options.ts";

export interface ImageRoutesOptions {
  readonly images: ImageStore;
  readonly containers: ContainerIndex;
}

export function imageRoutes({ images, containers }: ImageRoutesOptions): Route[] {
  return [
    { method: "POST", path: "/images/create", handle: (request) => pull(request, images) },
    { method: "GET", path: "/images/json", handle: () => list({ images, containers }) },
    { method: "GET", path: "/images/{name*}/json", handle: (_, { name = "" }) => inspect(name, images) },
    {
      method: "POST",
      path: "/images/{name*}/tag",
      handle: (request, { name = "" }) => tag(request, { images, name }),
    },
  ];
}

/** Whether the body of a request is an image, which may have any size. The request is refused, and its body dropped. */
export function isImport({ path, query }: { path: string; query: URLSearchParams }): boolean {
  return path.endsWith("/images/create") && query.has("fromSrc");
}

/** Sends Docker's progress lines for busybox. Every other pull, and every import, is refused. */
function pull({ query }: HttpRequest, images: ImageStore): HttpReply {
  if (query.has("fromSrc")) {
    throw new HttpError(
      501,
      "the embedded engine imports no images, a container runs this machine's own programs: " +
        "give busybox another name (docker tag busybox NAME), or use Docker or Podman",
    );
  }
  const source = query.get("fromImage") ?? "";
  if (source === "") throw new HttpError(400, "invalid reference format");
  checkPlatform(query);
  const reference = joined(source, query.get("tag") ?? "");
  checkImageReference(reference);
  if (!images.has(reference)) {
    throw new HttpError(
      404,
      `the embedded engine pulls no images and has only ${images.names.join(", ")}: ` +
        "name one of these, or use Docker or Podman",
    );
  }
  const name = familiarName(reference);
  const [repository = "", shownTag] = splitTag(name);
  return progressReply([
    {
      status: `Pulling from ${repository.includes("/") ? repository : `library/${repository}`}`,
      id: shownTag,
    },
    { status: `Status: Image is up to date for ${name}` },
  ]);
}

async function tag(
  { query }: HttpRequest,
  { images, name }: { images: ImageStore; name: string },
): Promise<HttpReply> {
  await images.tag(name, joined(query.get("repo") ?? "", query.get("tag") ?? ""));
  return emptyReply(201);
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

/** The parameter `tag` may be a digest. */
function joined(name: string, tag: string): string {
  if (tag === "") return name;
  return tag.includes(":") ? `${name}@${tag}` : `${name}:${tag}`;
}

function splitTag(reference: string): [string, string] {
  const at = reference.lastIndexOf(":");
  return [reference.slice(0, at), reference.slice(at + 1)];
}

function list({ images, containers }: ImageRoutesOptions): HttpReply {
  return jsonReply(200, [{
    Id: images.id,
    ParentId: "",
    RepoTags: images.names,
    RepoDigests: [],
    Created: 0,
    Size: 0,
    SharedSize: -1,
    Labels: null,
    Containers: containers.size,
  }]);
}

function inspect(reference: string, images: ImageStore): HttpReply {
  images.check(reference);
  return jsonReply(200, {
    Id: images.id,
    RepoTags: images.names,
    RepoDigests: [],
    Parent: "",
    Comment: "",
    Created: ZERO_TIME,
    Config: { Env: null, Cmd: ["sh"], Entrypoint: null, Labels: null, WorkingDir: "", User: "" },
    Architecture: Deno.build.arch === "x86_64" ? "amd64" : "arm64",
    Os: Deno.build.os,
    Size: 0,
    RootFS: { Type: "layers", Layers: [] },
  });
}
