/** Statuses and messages of refused requests, recorded from Docker 20.10.24 and, where API 1.44 changed them, from Engine 25. */
import { assertEquals } from "@std/assert";
import { TestEngine } from "../../support/engines/embedded_engine.ts";

const OK_BODY = `{"Image":"busybox:local","Cmd":["sleep","60"]}`;
const with_ = (fields: string) => `{"Image":"busybox:local","Cmd":["x"],${fields}}`;

/** ID is replaced by the id of the running container. */
const REQUESTS: readonly (readonly [string, string, string | undefined, number, string])[] = [
  ["GET", "/nosuch", undefined, 404, "page not found"],
  ["PUT", "/containers/json", undefined, 404, "page not found"],
  [
    "GET",
    "/v1.99/containers/json",
    undefined,
    400,
    "client version 1.99 is too new. Maximum supported API version is 1.44",
  ],
  [
    "GET",
    "/v1.11/containers/json",
    undefined,
    400,
    "client version 1.11 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
  ],
  ["GET", "/containers/nope/json", undefined, 404, "No such container: nope"],
  ["POST", "/containers/nope/start", undefined, 404, "No such container: nope"],
  ["POST", "/containers/nope/stop", undefined, 404, "No such container: nope"],
  ["POST", "/containers/nope/kill", undefined, 404, "Cannot kill container: nope: No such container: nope"],
  ["DELETE", "/containers/nope?force=1", undefined, 404, "No such container: nope"],
  ["GET", "/containers/%zz/json", undefined, 400, "malformed percent-encoding in the path"],
  ["POST", "/containers/create", "", 400, "invalid JSON: got EOF while reading request body"],
  ["POST", "/containers/create", "[]", 400, "invalid JSON: the body must be an object"],
  ["POST", "/containers/create", "{}", 400, "Config cannot be empty in order to create a container"],
  [
    "POST",
    "/containers/create",
    `{"Image":5}`,
    400,
    "invalid JSON: field Image: Invalid type: Expected string but received 5",
  ],
  ["POST", "/containers/create", `{"Image":"a b"}`, 400, "invalid reference format"],
  [
    "POST",
    "/containers/create",
    `{"Image":"UPPER"}`,
    400,
    "invalid reference format: repository name must be lowercase",
  ],
  [
    "POST",
    "/containers/create?name=-x",
    OK_BODY,
    400,
    "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  ],
  [
    "POST",
    "/containers/create?name=a",
    OK_BODY,
    400,
    "Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  ],
  [
    "POST",
    "/containers/create?name=runs",
    OK_BODY,
    409,
    `Conflict. The container name "/runs" is already in use by container "ID". ` +
    "You have to remove (or rename) that container to be able to reuse that name.",
  ],
  ["POST", "/containers/create", with_(`"StopSignal":"NOPE"`), 400, "Invalid signal: NOPE"],
  [
    "POST",
    "/containers/create",
    with_(`"WorkingDir":"rel"`),
    400,
    "the working directory 'rel' is invalid, it needs to be an absolute path",
  ],
  ["POST", "/containers/create", with_(`"Env":["=x"]`), 400, "invalid environment variable: =x"],
  [
    "POST",
    "/containers/create",
    with_(`"Healthcheck":{"Interval":5}`),
    400,
    "Interval in Healthcheck cannot be less than 1ms",
  ],
  [
    "POST",
    "/containers/create",
    with_(`"Healthcheck":{"Retries":-1}`),
    400,
    "Retries in Healthcheck cannot be negative",
  ],
  [
    "POST",
    "/containers/create",
    with_(`"HostConfig":{"RestartPolicy":{"Name":"sometimes"}}`),
    400,
    "invalid restart policy 'sometimes'",
  ],
  [
    "POST",
    "/containers/create",
    with_(`"HostConfig":{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}`),
    400,
    "maximum retry count cannot be used with restart policy 'always'",
  ],
  [
    "POST",
    "/containers/create",
    with_(`"HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}`),
    400,
    "can't create 'AutoRemove' container with restart policy",
  ],
  ["POST", "/containers/runs/start", undefined, 304, ""],
  ["POST", "/containers/idle/stop", undefined, 304, ""],
  [
    "POST",
    "/containers/idle/kill",
    undefined,
    409,
    "Cannot kill container: idle: Container IDLE is not running",
  ],
  ["POST", "/containers/idle/pause", undefined, 409, "Container IDLE is not running"],
  ["POST", "/containers/idle/unpause", undefined, 500, "Container IDLE is not paused"],
  ["POST", "/containers/runs/kill?signal=NOPE", undefined, 400, "Invalid signal: NOPE"],
  ["POST", "/containers/runs/kill?signal=0", undefined, 400, "Invalid signal: 0"],
  [
    "POST",
    "/containers/runs/kill?signal=99",
    undefined,
    500,
    "Cannot kill container: runs: The linux daemon does not support signal 99",
  ],
  ["POST", "/containers/runs/stop?t=x", undefined, 400, `strconv.Atoi: parsing "x": invalid syntax`],
  ["POST", "/containers/runs/rename", undefined, 400, "Neither old nor new names may be empty"],
  [
    "POST",
    "/containers/runs/rename?name=runs",
    undefined,
    400,
    "Renaming a container with the same name as its current name",
  ],
  [
    "POST",
    "/containers/runs/rename?name=-a",
    undefined,
    400,
    "Error when allocating new name: Invalid container name (/-a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
  ],
  ["POST", "/containers/runs/wait?condition=foo", undefined, 400, `invalid condition: "foo"`],
  [
    "DELETE",
    "/containers/runs",
    undefined,
    409,
    "You cannot remove a running container ID. Stop the container before attempting removal or force remove",
  ],
  ["GET", "/containers/runs/logs", undefined, 400, "Bad parameters: you must choose at least one stream"],
  [
    "GET",
    "/containers/runs/logs?stdout=1&since=abc",
    undefined,
    500,
    `strconv.ParseInt: parsing "abc": invalid syntax`,
  ],
  ["GET", "/containers/json?filters=bad", undefined, 400, "invalid filter"],
  ["GET", "/containers/json?filters=%7B%22foo%22:%5B%22x%22%5D%7D", undefined, 400, "Invalid filter 'foo'"],
  [
    "GET",
    "/containers/json?filters=%7B%22status%22:%5B%22x%22%5D%7D",
    undefined,
    400,
    "Invalid filter 'status=x'",
  ],
  ["GET", "/containers/json?limit=x", undefined, 500, `strconv.Atoi: parsing "x": invalid syntax`],
  ["GET", "/events?since=abc", undefined, 500, `strconv.ParseInt: parsing "abc": invalid syntax`],
  [
    "GET",
    "/events?until=2020-01-01T00:00:00Z",
    undefined,
    500,
    `strconv.ParseInt: parsing "2020-01-01T00:00:00Z": invalid syntax`,
  ],
  [
    "GET",
    "/events?since=9999999999&until=1",
    undefined,
    400,
    "`since` time (9999999999) cannot be after `until` time (1)",
  ],
  ["POST", "/containers/nope/resize?h=1&w=1", undefined, 404, "No such container: nope"],
  ["POST", "/containers/runs/resize?h=1", undefined, 400, `strconv.Atoi: parsing "": invalid syntax`],
  ["POST", "/containers/runs/resize?h=1&w=x", undefined, 400, `strconv.Atoi: parsing "x": invalid syntax`],
  [
    "POST",
    "/containers/runs/resize?h=-1&w=1",
    undefined,
    400,
    "a terminal's size is from 0 to 65535: h=-1",
  ],
  ["POST", "/exec/nope/resize?h=1&w=1", undefined, 404, "No such exec instance: nope"],
  [
    "GET",
    "/containers/runs/attach/ws",
    undefined,
    501,
    "the embedded engine has no attach over a WebSocket: use docker or podman (--engine)",
  ],
  ["POST", "/containers/runs/exec", "{}", 400, "No exec command specified"],
  ["POST", "/containers/runs/exec", `{"Cmd":["x"],"Env":["=1"]}`, 400, "invalid environment variable: =1"],
  [
    "POST",
    "/containers/runs/exec",
    `{"Cmd":5}`,
    400,
    "invalid JSON: field Cmd: Invalid type: Expected (string | Array) but received 5",
  ],
  ["POST", "/containers/idle/exec", `{"Cmd":["x"]}`, 409, "Container IDLE is not running"],
  ["POST", "/exec/nope/start", "{}", 404, "No such exec instance: nope"],
];

Deno.test("the embedded engine refuses bad requests with Docker's statuses and messages", async (t) => {
  await using engine = await TestEngine.start();
  const running = await engine.run("sleep 60", { name: "runs" });
  const idle = await engine.create("true", { name: "idle" });
  for (const prefix of ["", "/v1.41"]) {
    for (const [method, path, body, status, message] of REQUESTS) {
      if (prefix !== "" && path.startsWith("/v1")) continue;
      await t.step(`${method} ${prefix}${path} ${body ?? ""}`, async () => {
        const response = await engine.fetch(method, prefix + path, body === undefined ? {} : { body });
        const text = await response.text();
        const expected = message.replace("IDLE", idle).replace("ID", running);
        assertEquals({ status: response.status, message: text === "" ? "" : JSON.parse(text).message }, {
          status,
          message: expected,
        });
      });
    }
  }
});
