/** Names and ids of containers, in Docker's forms. */
import { randomHex } from "../../platform/random_hex.ts";
import { HttpError } from "../http/http_message.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** @throws {HttpError} 400 with Docker's message */
export function checkContainerName(name: string, options: { shown?: string } = {}): void {
  if (NAME.test(name)) return;
  throw new HttpError(
    400,
    `Invalid container name (${options.shown ?? name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
  );
}

/** 64 random hex digits. */
export function randomId(): string {
  return randomHex(32);
}

/** The first 12 digits of an id, which Docker shows to people. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

/** A random name such as `calm_otter`, for which `isTaken` returns false. */
export function randomName(isTaken: (name: string) => boolean): string {
  for (;;) {
    const [first = 0, second = 0, third = 0] = crypto.getRandomValues(new Uint32Array(3));
    const name = `${ADJECTIVES[first % ADJECTIVES.length]}_${ANIMALS[second % ANIMALS.length]}`;
    if (!isTaken(name)) return name;
    const numbered = `${name}${third % 10_000}`; // With thousands of containers the plain names run out.
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
