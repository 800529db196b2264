import { ApexError } from "../platform/apex_error.ts";

/** What the daemon itself said instead of a result, with its code: the exchange as such went well. */
export class RefusedError extends ApexError {}
