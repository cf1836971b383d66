/** An ICMP echo message (RFC 792, RFC 4443). */
export interface Echo {
  readonly identifier: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

const types = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

/**
 * Encodes an echo request. The IPv4 checksum is needed for raw sockets only; the kernel adds the IPv6 one.
 */
export function encodeEcho(version: 4 | 6, { identifier, sequence, payload }: Echo): Buffer {
  const packet = Buffer.alloc(8 + payload.length);
  packet[0] = types[version].request;
  packet.writeUInt16BE(identifier, 4);
  packet.writeUInt16BE(sequence, 6);
  payload.copy(packet, 8);
  if (version === 4) packet.writeUInt16BE(checksum(packet), 2);
  return packet;
}

/** Decodes an echo reply. Returns undefined for other packets. Raw IPv4 sockets also return the IP header. */
export function decodeEchoReply(version: 4 | 6, packet: Buffer, withIpHeader: boolean): Echo | undefined {
  const icmp = withIpHeader ? packet.subarray((packet[0]! & 15) * 4) : packet;
  if (icmp.length < 8 || icmp[0] !== types[version].reply) return undefined;
  return { identifier: icmp.readUInt16BE(4), sequence: icmp.readUInt16BE(6), payload: icmp.subarray(8) };
}

/** The Internet checksum of RFC 1071. */
export function checksum(data: Buffer): number {
  let sum = 0;
  for (let i = 0; i + 1 < data.length; i += 2) sum += data.readUInt16BE(i);
  if (data.length % 2 === 1) sum += data[data.length - 1]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
