/** An image reference, split as the engine's `images/create` expects it. */
export interface ImageReference {
  /** `[host[:port]/]path`. */
  readonly name: string;
  /** A tag, or a digest with its algorithm; `latest` when the reference has neither. */
  readonly tag: string;
}

/**
 * Splits a reference by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`. With a digest, the
 * tag is ignored. Undefined when the reference is invalid.
 */
export function parseImageReference(reference: string): ImageReference | undefined {
  if (reference.length > MAX_REFERENCE_LENGTH) return undefined;
  const match = REFERENCE.exec(reference);
  if (match === null) return undefined;
  const [, name = "", tag, digest] = match;
  return { name, tag: digest ?? tag ?? "latest" };
}

/** Whether the reference is an image id, which no registry knows: 64 hex digits, with or without `sha256:`. */
export function isImageId(reference: string): boolean {
  return /^(?:sha256:)?[0-9a-f]{64}$/.test(reference);
}

const MAX_REFERENCE_LENGTH = 255 + 128 + 72;
const COMPONENT = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const DOMAIN = `${LABEL}(?:\\.${LABEL})*(?::\\d+)?`;
const REFERENCE = new RegExp(
  `^((?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?` +
    `(?:@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$`,
);
