import { HttpError } from "./http_error.ts";

/**
 * Checks an image's reference by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`. A process
 * has no image, so any well-formed reference will do.
 * @throws {HttpError} 400 with Docker's words
 */
export function checkImageReference(reference: string): void {
  if (/^[0-9a-f]{64}$/.test(reference)) return; // An image's id.
  const short = reference.length <= MAX_REFERENCE_LENGTH;
  if (short && REFERENCE.test(reference)) return;
  const lower = short && REFERENCE.test(reference.toLowerCase());
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

const MAX_REFERENCE_LENGTH = 255 + 128 + 72;
const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const DOMAIN = `${LABEL}(?:\\.${LABEL})*(?::\\d+)?`;
const REFERENCE = new RegExp(
  `^(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*(?::[\\w][\\w.-]{0,127})?(?:@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?$`,
);
