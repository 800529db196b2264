/** The bodies of `POST /containers/{id}/exec` and `POST /exec/{id}/start`. */
import * as v from "valibot";
import { HttpError } from "../http/http_message.ts";
import {
  checkVariables,
  type ConsoleSize,
  consoleSize,
  flag,
  parseBody,
  strings,
  text,
  UNKNOWN_SIZE,
  words,
} from "./body_schema.ts";
import { checkExecOptions } from "./unsupported_options.ts";

const createSchema = v.looseObject({
  Cmd: words,
  Env: strings,
  WorkingDir: text,
  User: text,
  Tty: flag,
  AttachStdin: flag,
  AttachStdout: flag,
  AttachStderr: flag,
  DetachKeys: text,
  ConsoleSize: consoleSize,
});

const startSchema = v.looseObject({ Detach: flag, Tty: flag });

/** What an exec (`docker exec`) was asked to run. */
export interface ExecSpec {
  /** At least one word. */
  readonly command: readonly string[];
  /** Added to the container's environment. */
  readonly env: readonly string[];
  /** Empty: that of the container. */
  readonly workingDir: string;
  /** Empty, or a name of the user that runs the engine. */
  readonly user: string;
  readonly tty: boolean;
  /** The first size of its terminal. */
  readonly size: ConsoleSize;
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly detachKeys: string;
}

/** @throws {HttpError} 400 with Docker's message, or for an option that this engine does not support */
export function parseExecCreate(body: unknown): ExecSpec {
  const create = parseBody(createSchema, body);
  const command = create.Cmd ?? [];
  if (command.length === 0) throw new HttpError(400, "No exec command specified");
  checkVariables(create.Env);
  checkExecOptions(create);
  return {
    command,
    env: create.Env ?? [],
    workingDir: create.WorkingDir ?? "",
    user: create.User ?? "",
    tty: create.Tty ?? false,
    size: create.ConsoleSize ?? UNKNOWN_SIZE,
    attachStdin: create.AttachStdin ?? false,
    attachStdout: create.AttachStdout ?? false,
    attachStderr: create.AttachStderr ?? false,
    detachKeys: create.DetachKeys ?? "",
  };
}

/** @returns `detach`: the client wants neither its output nor its end */
export function parseExecStart(body: unknown): { detach: boolean } {
  return { detach: parseBody(startSchema, body).Detach ?? false };
}
