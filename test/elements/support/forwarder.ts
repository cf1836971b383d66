import { fileURLToPath } from "node:url";
import {
  ConnectionContext,
  IPContext,
  Mechanism,
  MechanismClass,
  MechanismType,
  Payload,
  type Connection,
} from "../../../src/api/index.js";
import {
  chain,
  Context,
  peer,
  type Elements,
  type Remote,
  type NetworkService,
} from "../../../src/core/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { beginServer } from "../../../src/elements/begin/index.js";
import { connectServer } from "../../../src/elements/connect/index.js";
import { crossConnect, linuxKernel, type Kernel } from "../../../src/elements/cross-connect/index.js";
import { nextRemote } from "../../../src/elements/dial/index.js";
import { endpointMechanism } from "../../../src/elements/mechanism-translation/index.js";
import { RequestFiles, requestFiles, type ReceivedFile } from "../../../src/elements/request-files/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { recorder, run, virtualClock, type VirtualClock } from "../../../src/testing/index.js";
import type { Logger } from "../../../src/core/index.js";

/** Files that came as descriptors, in place of which the tests use their `file:` URLs. */
export class FilesByPath extends RequestFiles {
  override received(url: string): ReceivedFile | undefined {
    if (!url.startsWith("file:")) return undefined;
    const path = fileURLToPath(url);
    return { fd: -1, path, lastingPath: path };
  }
}

/** A mechanism with the namespace at `path`. */
export function kernelMechanism(path: string, name: string): Mechanism {
  return Mechanism.create({
    cls: MechanismClass.Local,
    type: MechanismType.Kernel,
    parameters: { inodeURL: path && `file://${path}`, name },
  });
}

/**
 * The result of point-to-point IPAM, patched: 10.0.NETWORK.0 for the endpoint, the next address for the client.
 */
export function ipContext(patch: Partial<IPContext> = {}, network = 0): IPContext {
  const [client, endpoint] = [`10.0.${network}.1/32`, `10.0.${network}.0/32`];
  return {
    ...IPContext.create(),
    srcIpAddrs: [client],
    dstIpAddrs: [endpoint],
    srcRoutes: [{ prefix: endpoint, nextHop: "" }],
    dstRoutes: [{ prefix: client, nextHop: "" }],
    ...patch,
  };
}

/** The answer of the endpoint side. Tests change it between calls. */
export interface Answer {
  mechanism: Mechanism | undefined;
  /** The dialed address of the endpoint. */
  url: string;
  ip: IPContext | undefined;
  /** Undefined keeps the requested value. */
  mtu: number | undefined;
  payload: string;
  /** Called when the endpoint is called. */
  onRequest: () => void | Promise<void>;
}

/** The sides to connect, and the kernel. */
export interface ForwarderOptions {
  /** Paths of the namespaces. */
  readonly client: string;
  readonly endpoint: string;
  /** Name of the forwarder. Default: "forwarder". */
  readonly name?: string;
  /** Default: the real clock. */
  readonly kernel?: Kernel;
  readonly clock?: VirtualClock;
  readonly stateDir?: string;
  readonly logger?: Logger;
  /** Elements after the endpoint. */
  readonly probes?: Elements<NetworkService>;
}

/** A forwarder between one client and one endpoint, with the interfaces `nsm-1` and `fw-1`. */
export function forwarder({ client, endpoint, ...options }: ForwarderOptions) {
  const { name = "forwarder", kernel = linuxKernel(), clock = virtualClock(), probes = [] } = options;
  const program = new AbortController();
  const answer: Answer = {
    mechanism: kernelMechanism(endpoint, "fw-1"),
    url: "unix:///run/nse.sock",
    ip: ipContext(),
    mtu: undefined,
    payload: Payload.Ethernet,
    onRequest: () => {},
  };
  const downstream = recorder();
  const { stateDir, logger } = options;
  const wiring = crossConnect({
    kernel,
    clock,
    until: program.signal,
    ...(stateDir !== undefined && { stateDir }),
    ...(logger && { logger }),
  });
  const clientSide = chain([
    downstream,
    {
      name: "endpoint",
      async request(ctx, request, next) {
        await answer.onRequest();
        if (answer.mechanism) endpointMechanism.set(ctx, answer.mechanism);
        nextRemote.set(ctx, { url: answer.url } as Remote);
        const connection = await next.request(ctx, request);
        const context = connection.context ?? ConnectionContext.create();
        return {
          ...connection,
          payload: answer.payload,
          context: { ...context, ipContext: answer.ip, MTU: answer.mtu ?? context.MTU },
        };
      },
    },
    probes,
  ]);
  const bench = run(
    [
      // The same secret, so that a restarted forwarder derives the same ids.
      updatePath({ name, secret: new Uint8Array(32) }),
      beginServer(),
      connectionState(),
      wiring,
      connectServer(clientSide),
    ],
    {
      clock,
      ctx: Context.background({ clock })
        .with(peer, { address: "unix", local: true })
        .with(requestFiles, new FilesByPath()),
    },
  );
  return {
    ...bench,
    answer,
    downstream,
    wiring,
    program,
    /** Requests the sample connection, patched, for the client's interface `nsm-1`. */
    sendRequest: (patch: Partial<Connection> = {}, ctx?: Context) =>
      bench.request({ mechanism: kernelMechanism(client, "nsm-1"), ...patch }, ctx),
  };
}
