import { encodeHex } from "@std/encoding/hex";

/**
 * A registry with one image, on a local port, from which engines can pull. It has only the part of the distribution API that
 * a pull needs. Engines accept a registry at 127.0.0.1 without TLS.
 */
const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";
const LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const NAME = "apex/pulled";

type Bytes = Uint8Array<ArrayBuffer>;

export class ImageRegistry implements AsyncDisposable {
  /** `127.0.0.1:PORT/apex/pulled:1` */
  readonly image: string;
  /** The requested paths. */
  readonly asked: string[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(content: ReadonlyMap<string, { type: string; bytes: Bytes }>) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      const { pathname } = new URL(request.url);
      this.asked.push(pathname);
      if (pathname === "/v2/") return new Response("{}");
      const found = content.get(pathname);
      if (found === undefined) {
        return Response.json({ errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] }, {
          status: 404,
        });
      }
      const headers = { "content-type": found.type, "content-length": String(found.bytes.length) };
      return new Response(request.method === "HEAD" ? null : found.bytes, { headers });
    });
    this.image = `127.0.0.1:${this.#server.addr.port}/${NAME}:1`;
  }

  /** @param layer a tar with the contents of the image */
  static async serve(layer: Bytes): Promise<ImageRegistry> {
    const zipped = new Blob([layer]).stream().pipeThrough(new CompressionStream("gzip"));
    const blob = new Uint8Array(await new Response(zipped).arrayBuffer());
    const config = json({
      architecture: Deno.build.arch === "x86_64" ? "amd64" : "arm64",
      os: "linux",
      config: { Cmd: ["sh"] },
      rootfs: { type: "layers", "diff_ids": [await digestOf(layer)] },
    });
    const manifest = json({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: CONFIG_TYPE, size: config.length, digest: await digestOf(config) },
      layers: [{ mediaType: LAYER_TYPE, size: blob.length, digest: await digestOf(blob) }],
    });
    return new ImageRegistry(
      new Map([
        [`/v2/${NAME}/manifests/1`, { type: MANIFEST_TYPE, bytes: manifest }],
        [`/v2/${NAME}/manifests/${await digestOf(manifest)}`, { type: MANIFEST_TYPE, bytes: manifest }],
        [`/v2/${NAME}/blobs/${await digestOf(config)}`, { type: CONFIG_TYPE, bytes: config }],
        [`/v2/${NAME}/blobs/${await digestOf(blob)}`, { type: LAYER_TYPE, bytes: blob }],
      ]),
    );
  }

  /** The name of an image that this registry does not have. */
  get missingImage(): string {
    return this.image.replace(NAME, "apex/missing");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function digestOf(bytes: Bytes): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256:${encodeHex(digest)}`;
}

function json(value: unknown): Bytes {
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
}
