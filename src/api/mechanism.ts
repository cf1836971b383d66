/** Mechanism types and classes, payloads and parameter keys as they stand on the wire. */

/** Types of mechanism. */
export const MechanismType = {
  Kernel: "KERNEL",
  Memif: "MEMIF",
  Vfio: "VFIO",
  Noop: "NOOP",
  Vlan: "VLAN",
  Vxlan: "VXLAN",
  Wireguard: "WIREGUARD",
  Ipsec: "IPSEC",
} as const;

/** Whether a mechanism joins two processes of one machine or two machines. */
export const MechanismClass = { Local: "LOCAL", Remote: "REMOTE" } as const;

/** What travels on the vWire. */
export const Payload = { Ip: "IP", Ethernet: "ETHERNET" } as const;

/** Keys of `Mechanism.parameters`. */
export const Parameter = {
  /** The network namespace: `file:///path` in a process, `inode://dev/ino` beside a passed descriptor. */
  inodeUrl: "inodeURL",
  /** The interface's name, 15 characters at most. */
  name: "name",
  vlan: "vlan",
} as const;

/** The kernel's limit on interface names (IFNAMSIZ without the terminating zero). */
export const MAX_INTERFACE_NAME = 15;
