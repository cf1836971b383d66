import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { AF_INET, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_DGRAM } from "../constants.js";
import { errnoName } from "../errno.js";
import { libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";
import {
  bindSocket,
  type Endpoint,
  localEndpoint,
  openSocket,
  owning,
  parseHost,
  socketAddress,
} from "./open.js";
import type { ConnectOptions } from "./tcp.js";
import { until } from "./until.js";

/** Result of a datagram probe. */
export type UdpOutcome = "answered" | "refused" | "unreachable" | "timeout";

/**
 * Sends one datagram from a namespace and waits for its echo (see udpEcho()). Returns "refused" if no process
 * listens at the address.
 *
 * @example
 * import { udpEcho, udpProbe } from "nsm-sdk/linux";
 *
 * const echo = await udpEcho({ namespace: namespaces.endpoint, host: "172.16.1.100", port: 5300 });
 * const outcome = await udpProbe({ namespace: namespaces.client, host: echo.host, port: echo.port }); // "answered"
 */
export async function udpProbe(options: ConnectOptions): Promise<UdpOutcome> {
  const { namespace, host, port, from } = options;
  const fd = openSocket(namespace, host, SOCK_DGRAM);
  try {
    if (from !== undefined) bindSocket(fd, { host: from, port: 0 }, namespace);
    const [address, message] = [socketAddress({ host, port }), randomBytes(16)];
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (libc().connect(fd, address, address.length) < 0) return refusalOf(errnoName(libc().errno()));
    if (libc().send(fd, message, message.length, flags) < 0) return refusalOf(errnoName(libc().errno()));
    const outcome = await until(fd, { readable: true }, () => answer(fd, message), options);
    return outcome ?? "timeout";
  } finally {
    closeSync(fd);
  }
}

function answer(fd: number, message: Buffer): UdpOutcome | undefined {
  const length = libc().recv(fd, arrived, arrived.length, MSG_DONTWAIT);
  if (length >= 0) return arrived.subarray(0, length).equals(message) ? "answered" : undefined;
  const errno = errnoName(libc().errno());
  return errno === "EAGAIN" ? undefined : refusalOf(errno);
}

function refusalOf(errno: string): UdpOutcome {
  return errno === "ECONNREFUSED" ? "refused" : "unreachable";
}

/** A responder that echoes every datagram. */
export interface UdpEcho extends Endpoint {
  /** Datagrams received so far. */
  readonly received: number;
  close(): Promise<void>;
}

/** Echoes datagrams in a namespace, for tests and demonstrations. Port 0 selects a free port. */
export async function udpEcho(options: Endpoint & { namespace: NetworkNamespace }): Promise<UdpEcho> {
  const { namespace, host } = options;
  const fd = openSocket(namespace, host, SOCK_DGRAM);
  const { port } = await owning(fd, () => {
    bindSocket(fd, options, namespace);
    return localEndpoint(fd);
  });
  let received = 0;
  const socket = createSocket(parseHost(host).family === AF_INET ? "udp4" : "udp6");
  socket.on("message", (message, sender) => {
    received++;
    socket.send(message, sender.port, sender.address);
  });
  const listening = once(socket, "listening");
  socket.bind({ fd }); // the descriptor is the socket's from here on
  await listening;
  return {
    host,
    port,
    get received() {
      return received;
    },
    async close() {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

const arrived = Buffer.alloc(2048);
