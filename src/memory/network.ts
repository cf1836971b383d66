import type { X509Certificate } from "node:crypto";
import { Code, NsmError, type Clock, type DebugState, type Logger, type Peer } from "../core/index.js";
import { transportConnection } from "../core/transport-connection.js";
import { insecureTokens, type TokenGenerator } from "../identity/index.js";
import { spiffeIdOf } from "../identity/certificate.js";
import { type Services } from "../inbound/index.js";
import { handlersOf } from "../inbound/handlers.js";
import { HealthStates } from "../inbound/health.js";
import { remoteOver, type HealthRemote, type HealthRemotes } from "../outbound/remote.js";
import type { MemoryCall, Medium, MemoryOwner } from "./call.js";
import { memoryCaller, type Listening } from "./caller.js";
import { MemoryAttachments } from "./attachments.js";
import { Faults, type MemoryFaults } from "./faults.js";
import { targetOf } from "../wire/target.js";

/** The identity that one end of an in-memory connection claims. Nothing is verified: there is no TLS. */
export interface MemoryParty {
  /** Name for faults and for logs. Default for a listener: its address. */
  readonly name?: string;
  /** SPIFFE ID that the other side sees in `Peer`. Default: the ID in the certificate. */
  readonly spiffeId?: string;
  readonly certificate?: X509Certificate;
}

/** A process that makes calls over the in-memory transport. */
export interface MemoryCaller extends MemoryParty {
  readonly name: string;
  /** Generates the caller's tokens. Default: unsigned tokens. */
  readonly tokens?: TokenGenerator;
}

/** A process that listens on the in-memory transport. */
export interface MemoryListener extends MemoryParty {
  /** The clock of its calls. Default: the clock of the network. */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** A listening server. */
export interface MemoryServer {
  readonly url: string;
  /** Sets the health state, like `Server.setServing` of a gRPC server. */
  setServing(service: string, serving: boolean): void;
  /** Kills the server: its calls and streams end with UNAVAILABLE, as do all later calls. */
  close(): void;
}

/** A network of processes inside this process. */
export interface MemoryNetwork {
  /** @throws NsmError ALREADY_EXISTS if the address is in use, INVALID_ARGUMENT if it is invalid */
  listen(url: string, served: Services, listener?: MemoryListener): MemoryServer;
  remotes(caller: MemoryCaller): HealthRemotes;
  readonly faults: MemoryFaults;
  debugState(): DebugState;
}

/** Sources of time and randomness. */
export interface MemoryNetworkOptions {
  readonly clock: Clock;
  /** For faults by chance; seed it in tests. */
  readonly random?: (() => number) | undefined;
}

/**
 * Creates remotes that stay in this process and use one clock. They run the same chains as gRPC: messages are
 * encoded and decoded, and deadlines, cancels, tokens, peers and paths travel along. Errors are the same too,
 * and faults can be injected.
 *
 * @example
 * import { chain } from "nsm-sdk";
 * import { memoryNetwork } from "nsm-sdk/memory";
 *
 * const network = memoryNetwork({ clock });
 * network.listen("tcp://nsmgr:5001", { networkService: chain(elements) });
 * const { networkService } = network.remotes({ name: "nsc" }).to("tcp://nsmgr:5001");
 */
export function memoryNetwork({ clock, random = Math.random }: MemoryNetworkOptions): MemoryNetwork {
  const listening = new Map<string, Listening>();
  const calls = new Set<MemoryCall>();
  const owners = new Set<MemoryOwner>();
  const breakWhere = (struck: (call: MemoryCall) => boolean, why: string): void => {
    for (const call of [...calls].filter(struck)) call.break(why);
  };
  const faults = new Faults(random, targetOf, () =>
    breakWhere((call) => faults.strikes("cut", call.route), "the connection was cut"),
  );
  const medium: Medium = { clock, faults, calls };

  return {
    faults,
    debugState: () => ({ listeners: listening.size, calls: calls.size, faults: faults.size }),
    listen(url, served, listener = {}) {
      const target = targetOf(url);
      if (listening.has(target)) throw new NsmError(Code.AlreadyExists, `${url} is already in use`);
      const handlers = handlersOf(served);
      const health = new HealthStates(handlers);
      const self: Listening = {
        handlers: new Map([...handlers, ...health.handlers()]),
        peer: peerOf(listener, url),
        logger: listener.logger,
        clock: listener.clock ?? clock,
      };
      listening.set(target, self);
      return {
        url,
        setServing: (service, serving) => health.set(service, serving),
        close() {
          if (listening.get(target) !== self) return;
          listening.delete(target);
          breakWhere((call) => call.route.target === target, "the server is gone");
          for (const owner of owners) owner.attachments.close(self);
        },
      };
    },
    remotes(caller) {
      const tokens = caller.tokens ?? insecureTokens({ clock, subject: peerOf(caller, "").spiffeId ?? "" });
      const peer = peerOf(caller, caller.name);
      const remotes = new Map<string, HealthRemote>();
      const attachments = new MemoryAttachments<object>(clock);
      const owner: MemoryOwner = { name: caller.name, peer, tokens, attachments, closed: false };
      owners.add(owner);
      return {
        to(url) {
          const target = targetOf(url);
          const remote =
            remotes.get(target) ?? remoteOver(url, memoryCaller({ medium, listening, owner, target, url }));
          remotes.set(target, remote);
          return remote;
        },
        close() {
          owner.closed = true;
          for (const call of [...calls]) if (call.route.owner === owner) call.refuse();
          attachments.close();
          owners.delete(owner);
        },
      };
    },
  };
}

function peerOf({ certificate, spiffeId }: MemoryParty, address: string): Peer {
  const id = spiffeId ?? (certificate && spiffeIdOf(certificate).toString());
  const connection = transportConnection({ kind: "memory", address, local: true });
  return { address, local: true, connection, certificate, spiffeId: id };
}
