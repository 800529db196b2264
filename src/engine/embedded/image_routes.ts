/** A process has no image. These requests answer as if each well-formed reference named one, as clients expect. */
import type { ContainerStore } from "./container_store.ts";
import { type HttpReply, jsonReply } from "./http_message.ts";
import { checkImageReference, imageIdOf, withDefaultTag } from "./image_reference.ts";
import { ZERO_TIME } from "./nano_time.ts";
import type { Route } from "./router.ts";

export function imageRoutes(store: ContainerStore): Route[] {
  return [
    { method: "GET", path: "/images/json", handle: () => list(store) },
    { method: "GET", path: "/images/{name*}/json", handle: (_, { name = "" }) => inspect(name) },
  ];
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
