/** All checks of the demo, in order. */
export const checkNames = [
  "preflight",
  "certificates",
  "mesh started",
  "firewall endpoint started",
  "client started",
  "connection established",
  "ICMP gets through",
  "allowed TCP port gets through",
  "denied TCP port does not",
  "counters agree with what was sent",
  "new rules open the denied port",
  "connection was not made again",
  "open TCP connection keeps working",
  "second endpoint started",
  "healed after kill -9",
  "packets flow again",
  "connection closed",
  "programs ended",
  "nothing left behind",
] as const;

/** The name of a check. */
export type CheckName = (typeof checkNames)[number];
