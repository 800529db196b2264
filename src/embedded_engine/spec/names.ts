/** Container names and ids, in Docker's forms. */
import { encodeHex } from "@std/encoding/hex";
import { HttpError } from "../http/http_error.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** @throws {HttpError} 400 with Docker's words */
export function checkContainerName(name: string, options: { shown?: string } = {}): void {
  if (NAME.test(name)) return;
  throw new HttpError(
    400,
    `Invalid container name (${options.shown ?? name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}

/** 64 random hex digits. */
export function randomId(): string {
  return encodeHex(crypto.getRandomValues(new Uint8Array(32)));
}

/** The form in which Docker shows an id to people. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

/** A name such as `calm_otter` that `isTaken` does not know. */
export function randomName(isTaken: (name: string) => boolean): string {
  for (;;) {
    const [first = 0, second = 0, third = 0] = crypto.getRandomValues(new Uint32Array(3));
    const name = `${ADJECTIVES[first % ADJECTIVES.length]}_${ANIMALS[second % ANIMALS.length]}`;
    if (!isTaken(name)) return name;
    const numbered = `${name}${third % 10_000}`; // With hundreds of containers the plain ones run out.
    if (!isTaken(numbered)) return numbered;
  }
}

// deno-fmt-ignore
const ADJECTIVES = [
  "amber", "brave", "bright", "brisk", "calm", "clever", "curious", "dapper", "eager", "early", "fair", "fond",
  "gentle", "glad", "golden", "happy", "hardy", "honest", "jolly", "keen", "kind", "lively", "lucky", "merry",
  "mild", "neat", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "ready", "sharp",
  "shiny", "silver", "smart", "steady", "sunny", "swift", "tidy", "vivid", "warm", "wise", "witty", "zesty",
] as const;

// deno-fmt-ignore
const ANIMALS = [
  "badger", "beaver", "bison", "crane", "curlew", "deer", "dolphin", "eagle", "egret", "falcon", "ferret", "finch",
  "fox", "gecko", "goose", "hare", "hawk", "heron", "ibis", "jackdaw", "koala", "lark", "lemur", "lynx",
  "marten", "mole", "moose", "newt", "ocelot", "otter", "owl", "panda", "petrel", "puffin", "quail", "raven",
  "robin", "seal", "shrew", "sparrow", "stoat", "swan", "tapir", "tern", "thrush", "vole", "walrus", "wren",
] as const;
