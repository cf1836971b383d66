import type { Socket } from "node:net";
import type { Attachments, Clock, PeerProcess } from "../../core/index.js";
import { libc } from "../libc.js";
import { AttachableSocket, duplicate } from "./attachable-socket.js";
import { ReceivedDescriptors } from "./received-descriptors.js";

let possible: boolean | undefined;

/** Whether descriptors can be passed: only on Linux, with the native module. */
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

/** A connected unix socket, and the channel that passes descriptors on it. */
export interface AttachableConnection {
  readonly stream: AttachableSocket;
  readonly attachments: Attachments;
  readonly process: PeerProcess;
}

/**
 * Takes over a connected unix socket, so that it can pass descriptors. Returns undefined where that is not
 * possible. Call it in the same turn in which the socket connects: Node drops descriptors that it reads
 * itself.
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
    process: stream.peerProcess,
  };
}

/** The two ends of an in-process connection. */
export interface AttachedPair {
  readonly ends: readonly [Attachments, Attachments];
  /** Closes descriptors that were not taken. */
  close(): void;
}

/** Creates two ends that pass descriptors to each other. Returns undefined where that is not possible. */
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
