import { randomBytes } from "node:crypto";
import { closeSync } from "node:fs";
import { Code, codeOf } from "../../core/index.js";
import { AF_INET, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_DGRAM, SOCK_RAW } from "../constants.js";
import { errnoName, errnoText } from "../errno.js";
import { libc } from "../libc.js";
import type { NetworkNamespace } from "../namespace.js";
import { assertRange } from "../rtnetlink/link-name.js";
import { decodeEchoReply, encodeEcho } from "./icmp.js";
import { bindSocket, openSocket, parseHost, socketAddress } from "./open.js";
import { type WaitOptions, until } from "./until.js";

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

/** Target and number of echo requests. */
export interface PingOptions extends WaitOptions {
  readonly namespace: NetworkNamespace;
  /** An IPv4 or IPv6 address. */
  readonly to: string;
  /** The address to ask from; one of the namespace. */
  readonly from?: string | undefined;
  /** Default 4. The next request goes out once the one before is answered, or after its share of the time. */
  readonly count?: number | undefined;
}

/** Result of a ping. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  /** Round-trip times in milliseconds, in the order of the replies. */
  readonly rttMs: readonly number[];
  /** Why requests could not be sent or delivered, as reported by the kernel: `network is unreachable (…)`. */
  readonly unreachable?: string;
}

/**
 * Sends echo requests from a namespace. Needs no privilege after allowPing(), otherwise CAP_NET_RAW; throws
 * PERMISSION_DENIED without it. A missing reply or an unreachable target is a result, not an error. An
 * unreachable target is reported at once.
 *
 * @example
 * import { ping } from "nsm-sdk/linux";
 *
 * const { received } = await ping({ namespace: namespaces.client, to: "172.16.1.100", from: "172.16.1.101" });
 */
export async function ping(options: PingOptions): Promise<PingResult> {
  const { namespace, to, from, count = 4, timeoutMs = 1000, signal } = options;
  assertRange("count of echo requests", count, 1, 65535);
  const { fd, raw, version } = openEchoSocket(namespace, to);
  try {
    if (from !== undefined) bindSocket(fd, { host: from, port: 0 }, namespace);
    return await exchange(fd, { raw, version, to, count, timeoutMs, signal });
  } finally {
    closeSync(fd);
  }
}

/** Opens an ICMP datagram socket, which ping_group_range permits, otherwise a raw socket. */
function openEchoSocket(namespace: NetworkNamespace, to: string) {
  const version = parseHost(to).family === AF_INET ? 4 : 6;
  const protocol = version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  try {
    return { fd: openSocket(namespace, to, SOCK_DGRAM, protocol), raw: false, version } as const;
  } catch (error) {
    if (codeOf(error) !== Code.PermissionDenied) throw error;
    return { fd: openSocket(namespace, to, SOCK_RAW, protocol), raw: true, version } as const;
  }
}

async function exchange(
  fd: number,
  options: WaitOptions & { raw: boolean; version: 4 | 6; to: string; count: number; timeoutMs: number },
): Promise<PingResult> {
  const { raw, version, to, count, timeoutMs, signal } = options;
  const identifier = randomBytes(2).readUInt16BE();
  const payload = randomBytes(16); // distinguishes our replies from those to others, which a raw socket also receives
  const sentAt = new Map<number, number>();
  const rttMs: number[] = [];
  let [sent, unreachable] = [0, undefined as string | undefined];
  const over = new AbortController();
  const wayLost = new Error("the route is gone");

  const failed = () => {
    const errno = errnoName(libc().errno());
    unreachable = errnoText(errno);
    return errno;
  };
  const sendNext = () => {
    if (sent === count) return;
    const packet = encodeEcho(version, { identifier, sequence: ++sent, payload });
    sentAt.set(sent, performance.now());
    if (libc().send(fd, packet, packet.length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return;
    if (failed() === "ENETUNREACH") over.abort(wayLost); // as when there was none to begin with
  };
  const receive = (): true | undefined => {
    for (;;) {
      const length = libc().recv(fd, arrived, arrived.length, MSG_DONTWAIT);
      if (length < 0) {
        if (errnoName(libc().errno()) !== "EAGAIN") failed(); // an ICMP error came back, and is read by this
        return undefined;
      }
      const reply = decodeEchoReply(version, arrived.subarray(0, length), raw && version === 4);
      const began = reply && reply.payload.equals(payload) ? sentAt.get(reply.sequence) : undefined;
      if (began === undefined) continue;
      sentAt.delete(reply!.sequence);
      rttMs.push(performance.now() - began);
      if (rttMs.length === count) return true;
      sendNext();
    }
  };

  const address = socketAddress({ host: to, port: 0 });
  if (libc().connect(fd, address, address.length) < 0) {
    failed();
    return { sent, received: 0, rttMs, unreachable: unreachable! };
  }
  const timer = setInterval(sendNext, timeoutMs / count);
  const stop = () => over.abort(signal?.reason);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted) stop();
  try {
    sendNext();
    await until(fd, { readable: true }, receive, { timeoutMs, signal: over.signal });
  } catch (error) {
    if (error !== wayLost) throw error;
  } finally {
    clearInterval(timer);
    signal?.removeEventListener("abort", stop);
  }
  return { sent, received: rttMs.length, rttMs, ...(unreachable !== undefined && { unreachable }) };
}

const arrived = Buffer.alloc(2048);
