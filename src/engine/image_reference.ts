/** An image's reference, taken apart as the engine's `images/create` wants it. */
export interface ImageReference {
  /** `[host[:port]/]path`. */
  readonly name: string;
  /** A tag, or a digest with its algorithm; `latest` when neither was named. */
  readonly tag: string;
}

/**
 * Takes a reference apart, by the rules of the distribution project: `[host[:port]/]path[:tag][@digest]`. Where a digest
 * is named, the tag beside it says nothing. Undefined for what is no reference.
 */
export function parseImageReference(reference: string): ImageReference | undefined {
  if (reference.length > MAX_REFERENCE_LENGTH) return undefined;
  const match = REFERENCE.exec(reference);
  if (match === null) return undefined;
  const [, name = "", tag, digest] = match;
  return { name, tag: digest ?? tag ?? "latest" };
}

/** Whether it is an image's own id, which no registry knows: `sha256:` and 64 hex digits, or these alone. */
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
