import { parseImageReference } from "../../engine/image_reference.ts";
import { HttpError } from "../http/http_error.ts";

/**
 * Checks an image's reference by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`.
 * @throws {HttpError} 400 with Docker's words
 */
export function checkImageReference(reference: string): void {
  if (/^[0-9a-f]{64}$/.test(reference)) return; // An image's id.
  if (parseImageReference(reference) !== undefined) return;
  const lower = parseImageReference(reference.toLowerCase()) !== undefined;
  throw new HttpError(400, `invalid reference format${lower ? ": repository name must be lowercase" : ""}`);
}

/**
 * As people write it, with its tag: `docker.io/library/busybox` is `busybox:latest`. A digest stays.
 */
export function familiarName(reference: string): string {
  const short = reference.replace(/^(index\.)?docker\.io\//, "").replace(/^library\//, "");
  const name = short.slice(short.lastIndexOf("/") + 1);
  return name.includes(":") || name.includes("@") ? short : `${short}:latest`;
}
