/** The requests of a client at a container's own input and output, and at its terminal. */
import { AttachSession } from "../containers/attach_session.ts";
import { checkAttach } from "../containers/container_refusals.ts";
import type { ContainerStore } from "../containers/container_store.ts";
import { HttpError } from "../http/http_error.ts";
import { emptyReply, type HttpReply, type HttpRequest } from "../http/http_message.ts";
import { rawStreamReply } from "../http/raw_stream.ts";
import type { Route } from "../http/router.ts";
import { sizeParameters } from "../terminals/terminal_size.ts";
import { parseAttachRequest } from "./attach_request.ts";

interface Of {
  readonly store: ContainerStore;
  readonly id: string;
}

export function attachRoutes(store: ContainerStore): Route[] {
  return [
    {
      method: "POST",
      path: "/containers/{id}/attach",
      handle: (request, { id = "" }) => attach(request, { store, id }),
    },
    {
      method: "POST",
      path: "/containers/{id}/resize",
      handle: (request, { id = "" }) => resize(request, { store, id }),
    },
  ];
}

function attach(request: HttpRequest, { store, id }: Of): HttpReply {
  try {
    const wanted = parseAttachRequest(request.query);
    const container = store.get(id);
    checkAttach(container, id);
    const session = new AttachSession(container, wanted);
    return rawStreamReply(request, {
      multiplexed: !container.spec.tty,
      serve: (client) => session.serve(client),
      abandon: () => session[Symbol.dispose](),
    });
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    // Docker's own refusals here are bare text, in the type of the stream that there will not be.
    return {
      kind: "fixed",
      status: error.status,
      contentType: "application/vnd.docker.raw-stream",
      body: `${error.message}\r\n`,
    };
  }
}

/** Unlike Docker also for one that does not run: it starts with that size. */
async function resize({ query }: HttpRequest, { store, id }: Of): Promise<HttpReply> {
  const size = sizeParameters(query);
  await store.get(id).resize(size);
  return emptyReply(200);
}
