import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Connection, Mechanism, NetworkServiceRequest, Parameter, Path } from "../../src/api/index.js";
import { Context, peer, type NetworkService } from "../../src/core/index.js";
import { fileIdentity, insecureIdentity, type Identity } from "../../src/identity/index.js";
import { grpcServer } from "../../src/inbound/index.js";
import { inodeUrlOf } from "../../src/linux/index.js";
import { attachments, grpcRemotes, serverPeer, type ServerPeerHolder } from "../../src/outbound/index.js";
import { descriptorCount, descriptorsDownTo } from "../linux/descriptor-kit.js";
import { goPeer, insecure, mutualTls, type Security } from "./peers.js";

const ROUNDS = 200;
const signal = Context.background().signal;
const urlOf = ({ mechanism }: Connection): string => mechanism!.parameters[Parameter.inodeUrl]!;
const mechanism = (url: string): Mechanism =>
  Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { [Parameter.inodeUrl]: url } });

/**
 * The URL of the descriptor that Go has sent. Go's sendfd can leave the URL of the file when another HTTP/2 frame
 * carries the descriptor away between its two steps.
 */
function sentUrl(connection: Connection): string {
  const url = urlOf(connection);
  if (!url.startsWith("file://")) return url;
  const fd = openSync(fileURLToPath(url), "r");
  try {
    return inodeUrlOf(fd);
  } finally {
    closeSync(fd);
  }
}

describe.each([
  ["insecure", async () => insecure()],
  ["with mutual TLS", () => mutualTls(["ours", "go"])],
])("descriptors on a unix socket with Go's grpcfd, %s", (_kind, make) => {
  let before: number;
  let folder: string;
  let url: string;
  let security: Security;
  let identity: Identity;
  const [ours, theirs] = ["what we sent", "what Go sent"];

  beforeEach(async () => {
    before = descriptorCount();
    folder = mkdtempSync(join(tmpdir(), "nsm-files-"));
    url = `unix://${folder}/s`;
    writeFileSync(join(folder, "ours"), ours);
    writeFileSync(join(folder, "go"), theirs);
    security = await make();
    const [, files] = security.args("ours");
    identity = files ? await fileIdentity(files.slice("files=".length)) : insecureIdentity();
  });
  afterEach(async () => {
    identity.close();
    await security.remove();
    rmSync(folder, { recursive: true });
    await descriptorsDownTo(before);
  });

  test("a Go server gets ours and we get its, round after round on one connection", async () => {
    const args = ["--listen-on", url, "--file", join(folder, "go"), ...security.args("go")];
    const go = await goPeer("recvfd", args);
    const remotes = grpcRemotes({ identity });
    const fd = openSync(join(folder, "ours"), "r");
    const connections = new Set<number>();
    try {
      for (let i = 0; i < ROUNDS; i++) {
        const holder: ServerPeerHolder = {};
        const ctx = Context.background().with(serverPeer, holder).with(attachments, [fd]);
        const request = NetworkServiceRequest.create({
          connection: Connection.create({
            id: `c${i}`,
            path: Path.create({ pathSegments: [{ id: `c${i}`, name: "ours" }] }),
            mechanism: mechanism(inodeUrlOf(fd)),
          }),
        });
        const answer = await ctx.withTimeout(10_000, (c) =>
          remotes.to(url).networkService.request(c, request),
        );
        expect(answer.labels).toEqual({ text: ours });
        const connection = holder.current!.connection!;
        const received = await connection.attachments!.receive(sentUrl(answer), signal);
        expect(readFileSync(`/proc/self/fd/${received}`, "utf8")).toBe(theirs);
        closeSync(received);
        connections.add(connection.id);
      }
      expect(connections.size).toBe(1);
    } finally {
      closeSync(fd);
      remotes.close();
      await go.stop();
    }
  });

  test("we get those of a Go client and it gets ours, round after round", async () => {
    const fd = openSync(join(folder, "ours"), "r");
    const networkService: NetworkService = {
      async request(ctx, { connection }) {
        const passed = ctx.get(peer)!.connection!.attachments!;
        const received = await passed.receive(sentUrl(connection!), ctx.signal);
        const text = readFileSync(`/proc/self/fd/${received}`, "utf8");
        closeSync(received);
        passed.send(fd);
        return { ...connection!, labels: { text }, mechanism: mechanism(inodeUrlOf(fd)) };
      },
      close: async () => {},
    };
    const services = { networkService };
    const server = await grpcServer({ identity, listenOn: [url], services, attachments: true });
    try {
      const args = ["--connect-to", url, "--file", join(folder, "go"), "--connections", String(ROUNDS)];
      const go = await goPeer("sendfd", [...args, ...security.args("go")]);
      const ended = await go.exited;
      expect([ended.code, go.stderr]).toEqual([0, ""]);
      const answers = go.events.all.filter(({ event }) => event === "answer");
      expect(answers).toHaveLength(ROUNDS);
      for (const answer of answers) expect(answer).toMatchObject({ found: theirs, received: ours });
    } finally {
      closeSync(fd);
      await server.close();
    }
  });
});
