/**
 * Sends the endpoint's unix socket along with its registration, so that a manager in another container can call it:
 * the manager does not need to see the path. The URL `unix:///run/nse.sock` becomes `inode://<device>/<inode>`, and
 * the descriptor of the socket travels on the same connection. The caller sees its own URL in the answer. Other URLs
 * are forwarded unchanged, and so are all if the registry is not reached over a unix socket, or where descriptors
 * cannot be passed.
 *
 * Endpoint registry, client side. After registration-state and retry, before dial. The registry must be a manager,
 * with `recvFdServer()` or Go's `recvfd`. A Register fails with INVALID_ARGUMENT if the socket file cannot be opened.
 *
 * @example
 * import { registryClient } from "nsm-sdk/chains/registry-client";
 * import { sendFd } from "nsm-sdk/registry/elements/send-fd";
 *
 * const url = "unix:///var/lib/networkservicemesh/nsm.io.sock";
 * registryClient({ remotes, url, until, elements: { endpoints: [sendFd({ registryUrl: url })] } });
 *
 * @packageDocumentation
 */
import { closeSync, openSync } from "node:fs";
import type { NetworkServiceEndpoint } from "../../../api/index.js";
import {
  Code,
  explain,
  NsmError,
  Slot,
  type ChainElement,
  type Context,
  type EndpointRegistry,
} from "../../../core/index.js";
import { O_PATH } from "../../../linux/constants.js";
import { inodeUrlOf } from "../../../linux/index.js";
import { canPassDescriptors } from "../../../linux/sockets/attachments.js";
import { attachments } from "../../../outbound/index.js";
import { unixPath } from "../../../wire/address.js";

/** Options of sendFd(). */
export interface SendFdOptions {
  /** URL of the registry. */
  readonly registryUrl: string;
}

/** Creates the element. See the module description. */
export function sendFd({ registryUrl }: SendFdOptions): ChainElement<EndpointRegistry> {
  /** The URL under which the registry has the endpoint. */
  const registered = new Slot<string>("send-fd");
  const passes = registryUrl.startsWith("unix:") && canPassDescriptors();
  const pathOf = ({ url }: NetworkServiceEndpoint): string | undefined =>
    passes ? unixPath(url, "dial") : undefined;

  return {
    name: "send-fd",
    inside: ["registration-state"],
    outside: ["dial"],
    provides: [registered],

    async register(ctx, endpoint, next) {
      const path = pathOf(endpoint);
      if (path === undefined) return next.register(ctx, endpoint);
      return withFile(path, async (fd) => {
        if (typeof fd !== "number") throw cannotOpen(endpoint, fd);
        const url = inodeUrlOf(fd);
        registered.set(ctx, url);
        const response = await next.register(sending(ctx, fd), { ...endpoint, url });
        return response.url === url ? { ...response, url: endpoint.url } : response;
      });
    },

    async unregister(ctx, endpoint, next) {
      const path = pathOf(endpoint);
      if (path === undefined) return next.unregister(ctx, endpoint);
      // The file may be gone, or another one. A Go manager that has restarted needs the descriptor.
      await withFile(path, (fd) => {
        const opened = typeof fd === "number";
        const url = registered.get(ctx) ?? (opened ? inodeUrlOf(fd) : endpoint.url);
        return next.unregister(opened ? sending(ctx, fd) : ctx, { ...endpoint, url });
      });
    },
  };
}

/** Runs `work` with the open file, or with the reason why it cannot be opened. */
async function withFile<R>(path: string, work: (fd: number | Error) => Promise<R>): Promise<R> {
  let fd: number;
  try {
    fd = openSync(path, O_PATH);
  } catch (error) {
    return work(error as Error);
  }
  try {
    return await work(fd);
  } finally {
    closeSync(fd);
  }
}

function sending(ctx: Context, fd: number): Context {
  return ctx.with(attachments, [...(ctx.get(attachments) ?? []), fd]);
}

function cannotOpen({ name, url }: NetworkServiceEndpoint, cause: Error): NsmError {
  return new NsmError(
    Code.InvalidArgument,
    `cannot open the socket ${url} of endpoint ${name}: ${explain(cause)}`,
    { cause },
  );
}
