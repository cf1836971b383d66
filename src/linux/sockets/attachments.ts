import type { Socket } from "node:net";
import type { Attachments, Clock } from "../../core/index.js";
import { libc } from "../libc.js";
import { AttachableSocket, duplicate } from "./attachable-socket.js";
import { ReceivedDescriptors } from "./received-descriptors.js";

let possible: boolean | undefined;

/** Whether descriptors can be passed here: on Linux, where the native module can be loaded. */
export function canPassDescriptors(): boolean {
  if (possible === undefined) {
    try {
      libc();
      possible = true;
    } catch {
      possible = false;
    }
  }
  return possible;
}

/** A connected unix socket, and what passes descriptors on it. */
export interface AttachableConnection {
  readonly stream: AttachableSocket;
  readonly attachments: Attachments;
}

/**
 * Takes over a connected unix socket, so that descriptors can be passed on it; undefined where they cannot. Call it
 * in the very turn the socket is connected: what Node has read, it has dropped the descriptors of.
 *
 * @example
 * import { createServer } from "node:net";
 * import { attachable } from "nsm-sdk/linux";
 *
 * createServer((socket) => void attachable(socket)?.stream.end("hello")).listen("/run/nse.sock");
 */
export function attachable(socket: Socket): AttachableConnection | undefined {
  if (!canPassDescriptors()) return undefined;
  const received = new ReceivedDescriptors();
  const stream = AttachableSocket.over(socket, (descriptor) => received.arrived(descriptor));
  if (!stream) return undefined;
  stream.once("close", () => received.close());
  return {
    stream,
    attachments: {
      send: (fd) => stream.attach(duplicate(fd)),
      receive: (url, signal) => received.take(url, signal),
    },
  };
}

/** The two ends of a connection within this process. */
export interface AttachedPair {
  readonly ends: readonly [Attachments, Attachments];
  /** Closes what nobody took. */
  close(): void;
}

/** Two ends that pass descriptors to each other; undefined where they cannot. */
export function attachedPair(clock: Clock): AttachedPair | undefined {
  if (!canPassDescriptors()) return undefined;
  const [a, b] = [new ReceivedDescriptors(clock), new ReceivedDescriptors(clock)];
  const end = (own: ReceivedDescriptors, other: ReceivedDescriptors): Attachments => ({
    send: (fd) => other.arrived(duplicate(fd)),
    receive: (url, signal) => own.take(url, signal),
  });
  return {
    ends: [end(a, b), end(b, a)],
    close() {
      a.close();
      b.close();
    },
  };
}
