/** ICMP echo (RFC 792, RFC 4443). */
export interface Echo {
  readonly identifier: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

const types = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

/** An echo request. For IPv4 with its checksum, which only a raw socket needs; that of IPv6 the kernel fills in. */
export function encodeEcho(version: 4 | 6, { identifier, sequence, payload }: Echo): Buffer {
  const packet = Buffer.alloc(8 + payload.length);
  packet[0] = types[version].request;
  packet.writeUInt16BE(identifier, 4);
  packet.writeUInt16BE(sequence, 6);
  payload.copy(packet, 8);
  if (version === 4) packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

/** The echo reply in a packet, or undefined when it is something else. A raw IPv4 socket shows the IP header too. */
export function decodeEchoReply(version: 4 | 6, packet: Buffer, withIpHeader: boolean): Echo | undefined {
  const icmp = withIpHeader ? packet.subarray((packet[0]! & 15) * 4) : packet;
  if (icmp.length < 8 || icmp[0] !== types[version].reply) return undefined;
  return { identifier: icmp.readUInt16BE(4), sequence: icmp.readUInt16BE(6), payload: icmp.subarray(8) };
}

/** The one's complement sum of RFC 1071. */
export function checksum(data: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < data.length; i += 2) sum += data.readUInt16BE(i);
  if (data.length % 2 === 1) sum += data[data.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
