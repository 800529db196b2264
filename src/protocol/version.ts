/** The version of apex; `deno.json` has the same, and a test holds them together. */
export const VERSION = "0.1.0";

/** The version of the control protocol (`v` of a request). Another major version is refused. */
export const PROTOCOL_VERSION = 1;
