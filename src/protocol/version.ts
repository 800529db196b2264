/** The version of apex. A test compares it with `deno.json`. */
export const VERSION = "0.1.0";

/** The version of the control protocol (`v` of a request). The daemon refuses other versions. */
export const PROTOCOL_VERSION = 1;
