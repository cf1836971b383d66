import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Connection, Mechanism, NetworkServiceRequest, Parameter } from "../../src/api/index.js";
import { Context, peer, systemClock, type NetworkService, type Peer } from "../../src/core/index.js";
import { insecureIdentity, type Identity } from "../../src/identity/index.js";
import { grpcServer } from "../../src/inbound/index.js";
import { inodeUrlOf } from "../../src/linux/index.js";
import {
  attachments,
  grpcRemotes,
  serverPeer,
  type HealthRemotes,
  type ServerPeerHolder,
} from "../../src/outbound/index.js";
import { memoryNetwork } from "../../src/memory/index.js";
import { descriptorCount, descriptorsDownTo, OpenFiles } from "../linux/descriptor-kit.js";
import { renewable } from "./tls-identities.js";

const ROUNDS = 200;
const never = Context.background().signal;

const withUrl = (url: string): Connection =>
  Connection.create({
    id: "c1",
    mechanism: Mechanism.create({ type: "KERNEL", parameters: { [Parameter.inodeUrl]: url } }),
  });
const urlOf = ({ mechanism }: Connection): string => mechanism!.parameters[Parameter.inodeUrl]!;

describe("calls with attachments", () => {
  let before: number;
  let files: OpenFiles;
  let answer: number;
  let seen: (Peer | undefined)[];
  const closers: (() => void | Promise<void>)[] = [];

  /** Takes the descriptor that is named, puts its content into a label, and answers with one of its own. */
  const service: NetworkService = {
    async request(ctx, { connection }) {
      const caller = ctx.get(peer);
      seen.push(caller);
      const passed = caller?.connection?.attachments;
      if (!passed) return connection!;
      const fd = await passed.receive(urlOf(connection!), ctx.signal);
      const text = readFileSync(`/proc/self/fd/${fd}`, "utf8");
      closeSync(fd);
      passed.send(answer);
      return { ...withUrl(inodeUrlOf(answer)), labels: { text } };
    },
    close: async () => {},
  };

  beforeEach(() => {
    before = descriptorCount();
    files = new OpenFiles();
    answer = files.add("answer", "from the server");
    seen = [];
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    files.remove();
    await descriptorsDownTo(before);
  });

  const overGrpc = async (
    identity: Identity,
    url: string,
    passes = true,
  ): Promise<{ remotes: HealthRemotes; url: string }> => {
    const server = await grpcServer({
      identity,
      listenOn: [url],
      services: { networkService: service },
      attachments: passes,
      graceMs: 0,
    });
    const remotes = grpcRemotes({ identity });
    closers.push(
      () => identity.close(),
      () => server.close(),
      () => remotes.close(),
    );
    return { remotes, url: server.listenOn[0]! };
  };
  const inMemory = (): { remotes: HealthRemotes; url: string } => {
    const network = memoryNetwork({ clock: systemClock });
    const server = network.listen("unix:///nsm.sock", { networkService: service });
    const remotes = network.remotes({ name: "nsc" });
    closers.push(
      () => server.close(),
      () => remotes.close(),
    );
    return { remotes, url: "unix:///nsm.sock" };
  };
  const sendDescriptor = async ({ remotes, url }: { remotes: HealthRemotes; url: string }, fd: number) => {
    const holder: ServerPeerHolder = {};
    const ctx = Context.background().with(serverPeer, holder).with(attachments, [fd]);
    const request = NetworkServiceRequest.create({ connection: withUrl(inodeUrlOf(fd)) });
    const answered = await remotes.to(url).networkService.request(ctx, request);
    return { answered, server: holder.current! };
  };

  test.each([
    ["insecure", async () => overGrpc(insecureIdentity(), `unix://${join(files.folder, "s")}`)],
    [
      "with mutual TLS",
      async () => overGrpc((await renewable("a")).identity, `unix://${join(files.folder, "s")}`),
    ],
    ["in memory", async () => inMemory()],
  ])(
    "bring descriptors to the server and back, again and again, %s",
    { timeout: 60_000 },
    async (_how, connect) => {
      const connection = await connect();
      const sent = files.many(ROUNDS);
      for (const [i, fd] of sent.entries()) {
        const { answered, server } = await sendDescriptor(connection, fd);
        expect(answered.labels).toEqual({ text: String(i) });
        const received = await server.connection!.attachments!.receive(urlOf(answered), never);
        expect(readFileSync(`/proc/self/fd/${received}`, "utf8")).toBe("from the server");
        closeSync(received);
      }
      expect(new Set(seen.map((one) => one!.connection!.id)).size).toBe(1);
      expect(seen.every((one) => one!.local)).toBe(true);
    },
  );

  test("deliver them at once when many calls are in progress", { timeout: 30_000 }, async () => {
    const connection = await overGrpc((await renewable("a")).identity, `unix://${join(files.folder, "s")}`);
    const sent = files.many(100);
    const answers = await Promise.all(sent.map((fd) => sendDescriptor(connection, fd)));
    expect(answers.map(({ answered }) => answered.labels["text"])).toEqual(sent.map((_, i) => String(i)));
  });

  test.each([
    ["over TCP", "tcp", "tcp://127.0.0.1:0", true],
    ["to a server that does not ask for them", "unix", undefined, false],
  ])("go without them %s", async (_where, kind, url, passes) => {
    const connection = await overGrpc(insecureIdentity(), url ?? `unix://${join(files.folder, "s")}`, passes);
    const { answered } = await sendDescriptor(connection, answer);
    expect(urlOf(answered)).toBe(inodeUrlOf(answer));
    expect(seen[0]!.connection?.kind).toBe(kind);
    expect(seen[0]!.connection?.attachments).toBeUndefined();
  });

  test("fail when the descriptor to send is not open, and leave the remote usable", async () => {
    const connection = await overGrpc(insecureIdentity(), `unix://${join(files.folder, "s")}`);
    const fd = files.add("sent");
    const ctx = Context.background().with(attachments, [1_000_000]);
    const request = NetworkServiceRequest.create({ connection: withUrl(inodeUrlOf(fd)) });
    await expect(
      connection.remotes.to(connection.url).networkService.request(ctx, request),
    ).rejects.toThrow();
    expect((await sendDescriptor(connection, fd)).answered.labels).toEqual({ text: "sent" });
  });
});
