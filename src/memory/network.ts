import type { X509Certificate } from "node:crypto";
import {
  Code,
  NsmError,
  transportConnection,
  type Clock,
  type DebugState,
  type Logger,
  type Peer,
} from "../core/index.js";
import { insecureTokens, spiffeIdOf, type TokenGenerator } from "../identity/index.js";
import { type Services } from "../inbound/index.js";
import { handlersOf } from "../inbound/handlers.js";
import { HealthStates } from "../inbound/health.js";
import { remoteOver, type HealthRemote, type HealthRemotes } from "../outbound/remote.js";
import type { MemoryCall, Medium, MemoryOwner } from "./call.js";
import { memoryCaller, type Listening } from "./caller.js";
import { MemoryAttachments } from "./attachments.js";
import { Faults, type MemoryFaults } from "./faults.js";
import { targetOf } from "../wire/target.js";

/** Who one end of a memory remote claims to be. Nothing is proved: there is no TLS. */
export interface MemoryParty {
  /** For faults and for people; a listener's is its address unless told otherwise. */
  readonly name?: string;
  /** What the other side sees in `Peer`; the id of the certificate unless told otherwise. */
  readonly spiffeId?: string;
  readonly certificate?: X509Certificate;
}

/** A process that calls over memory. */
export interface MemoryCaller extends MemoryParty {
  readonly name: string;
  /** The tokens it shows. Default: tokens that prove nothing. */
  readonly tokens?: TokenGenerator;
}

/** A process that listens over memory. */
export interface MemoryListener extends MemoryParty {
  /** The clock of its calls. Default: the network's. */
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** A process that listens, as long as it lives. */
export interface MemoryServer {
  readonly url: string;
  /** As `Server.setServing` of the real one. */
  setServing(service: string, serving: boolean): void;
  /** The process dies: calls and streams at it end in UNAVAILABLE, and so do those to come. */
  close(): void;
}

/** A network of processes that are all in this one. */
export interface MemoryNetwork {
  /** @throws NsmError ALREADY_EXISTS when somebody listens there, INVALID_ARGUMENT for what is no address */
  listen(url: string, served: Services, listener?: MemoryListener): MemoryServer;
  remotes(caller: MemoryCaller): HealthRemotes;
  readonly faults: MemoryFaults;
  debugState(): DebugState;
}

/** What time and chance come from. */
export interface MemoryNetworkOptions {
  readonly clock: Clock;
  /** For faults by chance; seed it in tests. */
  readonly random?: (() => number) | undefined;
}

/**
 * Remotes that stay in this process and in the time of one clock: the same chains, messages encoded and decoded on
 * the way, deadlines, cancels, tokens, peers and paths passed on, and the same errors as over gRPC. And things
 * can go wrong when told to.
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
      if (listening.has(target)) throw new NsmError(Code.AlreadyExists, `${url} is in use`);
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
