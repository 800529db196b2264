import { parseImageReference } from "../image_reference.ts";
import { HttpError } from "./http_error.ts";

/**
 * Checks an image's reference by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`. A process
 * has no image, so any well-formed reference will do.
 * @throws {HttpError} 400 with Docker's words
 */
export function checkImageReference(reference: string): void {
  if (/^[0-9a-f]{64}$/.test(reference)) return; // An image's id.
  if (parseImageReference(reference) !== undefined) return;
  const lower = parseImageReference(reference.toLowerCase()) !== undefined;
  throw new HttpError(400, `invalid reference format${lower ? ": repository name must be lowercase" : ""}`);
}

/** With `:latest` where it names neither tag nor digest. */
export function withDefaultTag(reference: string): string {
  const name = reference.slice(reference.lastIndexOf("/") + 1);
  return name.includes(":") || name.includes("@") ? reference : `${reference}:latest`;
}

/** The id that the embedded engine gives to the image of that reference: it has to have one, and always the same. */
export async function imageIdOf(reference: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(withDefaultTag(reference)));
  return `sha256:${
    Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
  }`;
}
