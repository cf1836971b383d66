import { Mechanism, MechanismClass, MechanismType, Parameter } from "../../api/index.js";
import type { Clock, Elements, Logger, NetworkService, Remotes, TraceHook } from "../../core/index.js";
import type { HealOptions } from "../../elements/heal/index.js";
import { kernelClient } from "../../elements/mechanisms/kernel/index.js";
import { namespaceUrl } from "../../elements/mechanisms/kernel/namespace-url.js";
import type { Identity } from "../../identity/index.js";

/** Options of connectService(). */
export interface ConnectServiceOptions {
  /** Name of this process in the path. */
  readonly name: string;
  /** Name of the network service: `firewall`, or `firewall@example.org` in another domain. */
  readonly service: string;
  /** URL of the manager of this node: `unix:///var/lib/networkservicemesh/nsm.io.sock`, `tcp://127.0.0.1:5001`. */
  readonly connectTo: string;
  readonly identity: Identity;
  /**
   * The connection's id, unique among the connections of `name`. A process that passes the same id after a restart
   * takes over its connection. Default: random.
   */
  readonly id?: string | undefined;
  /** Labels by which the service's matches select the endpoint. Default: none. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Name of the kernel interface. Default: derived from the service's name. */
  readonly interfaceName?: string | undefined;
  /**
   * Path of the interface's network namespace, such as `/run/netns/blue`. Default: the namespace of this
   * process.
   */
  readonly netns?: string | undefined;
  /**
   * The mechanism to request. A mechanism other than KERNEL needs its own client in `elements`. Default:
   * KERNEL.
   */
  readonly mechanism?: Mechanism | undefined;
  /** Elements before the mechanism. Default: none. */
  readonly elements?: Elements<NetworkService> | undefined;
  /**
   * Options of heal(), or `false` to disable it. `liveness` also checks the data plane. Default: control plane
   * only.
   */
  readonly heal?: Partial<Omit<HealOptions, "until">> | false | undefined;
  /** Time limit of one try, in milliseconds. Default: 15,000. */
  readonly tryTimeoutMs?: number | undefined;
  /** The remotes of other processes. close() does not close them. Default: gRPC with `identity`. */
  readonly remotes?: Remotes | undefined;
  /** The lifetime of the program. When it ends, no Close is sent, and the connection expires. */
  readonly until?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly trace?: TraceHook | undefined;
}

/** The mechanism that the Request offers. */
export function offeredMechanism({ mechanism, interfaceName }: ConnectServiceOptions): Mechanism {
  if (mechanism) return mechanism;
  return Mechanism.create({
    cls: MechanismClass.Local,
    type: MechanismType.Kernel,
    parameters: interfaceName === undefined ? {} : { [Parameter.name]: interfaceName },
  });
}

/** The client of the offered mechanism. */
export function mechanismClient(options: ConnectServiceOptions): Elements<NetworkService> {
  const isKernel = offeredMechanism(options).type === MechanismType.Kernel;
  return isKernel ? [kernelClient({ inodeUrl: namespaceUrl(options.netns) })] : [];
}
