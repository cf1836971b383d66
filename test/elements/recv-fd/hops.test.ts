import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Connection, Mechanism, NetworkServiceRequest, Parameter } from "../../../src/api/index.js";
import {
  chain,
  Code,
  codeOf,
  Context,
  explain,
  type Elements,
  type NetworkService,
  type NetworkServiceElement,
} from "../../../src/core/index.js";
import { beginClient, beginServer } from "../../../src/elements/begin/index.js";
import { clientUrl } from "../../../src/elements/client-url/index.js";
import { connectClient, connectServer } from "../../../src/elements/connect/index.js";
import { connectionState } from "../../../src/elements/connection-state/index.js";
import { dial } from "../../../src/elements/dial/index.js";
import { kernelClient, kernelServer } from "../../../src/elements/mechanisms/kernel/index.js";
import { recvFdClient, recvFdServer } from "../../../src/elements/recv-fd/index.js";
import { requestFiles } from "../../../src/elements/request-files/index.js";
import { sendFdClient, sendFdServer } from "../../../src/elements/send-fd/index.js";
import { updatePath } from "../../../src/elements/update-path/index.js";
import { inodeUrlOf } from "../../../src/linux/index.js";
import { attachments } from "../../../src/outbound/index.js";
import { memoryNetwork, type MemoryNetwork } from "../../../src/memory/index.js";
import { recorder, virtualClock, type Recorder, type VirtualClock } from "../../../src/testing/index.js";
import { descriptorCount, descriptorsDownTo, OpenFiles } from "../../linux/descriptor-kit.js";

const [MIDDLE, LAST] = ["unix:///run/middle.sock", "unix:///run/last.sock"];

let before: number;
let files: OpenFiles;
let clock: VirtualClock;
let network: MemoryNetwork;
const closers: (() => void)[] = [];

beforeEach(() => {
  before = descriptorCount();
  files = new OpenFiles();
  clock = virtualClock();
  network = memoryNetwork({ clock });
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) close();
  files.remove();
  await descriptorsDownTo(before);
});

const fileUrl = (name: string): string => pathToFileURL(join(files.folder, name)).href;

/** The client half of a hop, called `name`. */
function onward(name: string, url: string, elements: Elements<NetworkService>): NetworkService {
  const remotes = network.remotes({ name });
  closers.push(() => remotes.close());
  return chain([
    updatePath({ name }),
    beginClient(),
    connectionState(),
    clientUrl(url),
    dial({ remotes }),
    elements,
    connectClient(),
  ]);
}

function serve(name: string, url: string, elements: Elements<NetworkService>): void {
  const networkService = chain([updatePath({ name }), beginServer(), connectionState(), elements]);
  const server = network.listen(url, { networkService });
  closers.push(() => server.close());
}

/** What an element saw of the files of a Request: their texts. */
function reader(seen: string[]): NetworkServiceElement {
  return {
    name: "reader",
    async request(ctx, request, next) {
      const answer = await next.request(ctx, request);
      const urls = [...request.mechanismPreferences, answer.mechanism].map(
        (mechanism) => mechanism?.parameters[Parameter.inodeUrl] ?? "",
      );
      for (const url of new Set(urls)) {
        const file = ctx.get(requestFiles)?.received(url);
        seen.push(file ? readFileSync(file.path, "utf8") : `nothing for ${url}`);
      }
      return answer;
    },
  };
}

const kernel = (url: string): Mechanism =>
  Mechanism.create({ cls: "LOCAL", type: "KERNEL", parameters: { inodeURL: url, name: "nsm-1" } });

const request = (mechanisms: Mechanism[] = []): NetworkServiceRequest =>
  NetworkServiceRequest.create({
    connection: Connection.create({ id: "c1", networkService: "firewall" }),
    mechanismPreferences: mechanisms,
  });

const ask = (service: NetworkService, message = request()): Promise<Connection> =>
  Context.background({ clock }).withTimeout(60_000, (c) => service.request(c, message));

/** Accepts the first mechanism, as the last hop. */
const accept: NetworkServiceElement = {
  name: "accept",
  request: (ctx, { connection, mechanismPreferences: [mechanism], ...rest }, next) =>
    next.request(ctx, {
      ...rest,
      mechanismPreferences: [],
      connection: { ...connection!, mechanism: connection!.mechanism ?? mechanism },
    }),
};

describe("descriptors along the hops", () => {
  test("the client's file reaches the last hop, and the client's name for it stays its own", async () => {
    files.add("client", "of the client");
    const [seen, last] = [[] as string[], recorder()];
    serve("last", LAST, [recvFdServer(), reader(seen), accept, last]);
    serve("middle", MIDDLE, [recvFdServer(), connectServer(onward("middle", LAST, [sendFdClient()]))]);
    const inodeUrl = fileUrl("client");
    const client = onward("client", MIDDLE, [kernelClient({ inodeUrl }), sendFdClient()]);

    const connection = await ask(client);
    expect(seen).toEqual(["of the client"]);
    expect(connection.mechanism?.parameters["inodeURL"]).toBe(inodeUrl);
    expect(urlIn(last)).toMatch(/^inode:\/\/\d+\/\d+$/);

    // A refresh brings it again, because no hop keeps it.
    await ask(client, { ...request(), connection });
    expect(seen).toEqual(["of the client", "of the client"]);
  });

  test("a Close brings the client's file too, for a hop that has lost the connection", async () => {
    files.add("client", "of the client");
    const closed: string[] = [];
    const closeReader: NetworkServiceElement = {
      name: "close-reader",
      async close(ctx, connection, next) {
        const file = ctx.get(requestFiles)?.received(connection.mechanism!.parameters["inodeURL"]!);
        closed.push(file ? readFileSync(file.path, "utf8") : "nothing");
        await next.close(ctx, connection);
      },
    };
    serve("last", LAST, [recvFdServer(), closeReader, accept]);
    serve("middle", MIDDLE, [recvFdServer(), connectServer(onward("middle", LAST, [sendFdClient()]))]);
    const inodeUrl = fileUrl("client");
    const client = onward("client", MIDDLE, [kernelClient({ inodeUrl }), sendFdClient()]);
    const connection = await ask(client);
    await client.close(Context.background({ clock }), connection);
    expect(closed).toEqual(["of the client"]);
  });

  test("the endpoint's file reaches the hop in front of it, with every answer", async () => {
    const endpoint = inodeUrlOf(files.add("endpoint", "of the endpoint"));
    const seen: string[] = [];
    serve("last", LAST, [sendFdServer(), accept, kernelServer({ inodeUrl: fileUrl("endpoint") })]);
    const client = onward("middle", LAST, [recvFdClient(), sendFdClient()]);
    serve("middle", MIDDLE, [recvFdServer(), reader(seen), connectServer(client)]);

    const nsc = onward("client", MIDDLE, []);
    const first = await ask(nsc, request([kernel("")]));
    expect(first.mechanism?.parameters["inodeURL"]).toBe(endpoint);
    await ask(nsc, { ...request([kernel("")]), connection: { ...first, mechanism: undefined } });
    expect(seen.filter((text) => text !== "nothing for ")).toEqual(["of the endpoint", "of the endpoint"]);
  });

  test("a path that a client has written is not opened, and travels as text", async () => {
    files.add("secret", "of the middle hop");
    const [seen, last] = [[] as string[], recorder()];
    serve("last", LAST, [recvFdServer(), reader(seen), accept, last]);
    serve("middle", MIDDLE, [recvFdServer(), connectServer(onward("middle", LAST, [sendFdClient()]))]);
    const url = fileUrl("secret");
    await ask(onward("client", MIDDLE, []), request([kernel(url)]));
    expect([seen, urlIn(last)]).toEqual([[`nothing for ${url}`], url]);
  });

  test("a path that an endpoint has written is not opened either", async () => {
    files.add("secret", "of the middle hop");
    const url = fileUrl("secret");
    serve("last", LAST, [accept]);
    serve("middle", MIDDLE, [sendFdServer(), connectServer(onward("middle", LAST, [sendFdClient()]))]);
    const connection = await ask(onward("client", MIDDLE, []), request([kernel(url)]));
    expect(connection.mechanism?.parameters["inodeURL"]).toBe(url);
  });

  test("a file of this process that cannot be opened fails the Request, and names it", async () => {
    serve("last", LAST, [accept]);
    const client = onward("client", LAST, [kernelClient({ inodeUrl: fileUrl("none") }), sendFdClient()]);
    await expect(ask(client)).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      message: expect.stringContaining(fileUrl("none")),
    });
  });

  test("a Request whose descriptor does not come fails within seconds, and a Close does not wait", async () => {
    serve("last", LAST, [recvFdServer(), accept]);
    const client = onward("client", LAST, [announcing()]);
    const failed = ask(client, request([kernel("inode://4/4711")])).catch((error: unknown) => error);
    await clock.advance(5_000);
    const error = await failed;
    expect(codeOf(error)).toBe(Code.Unavailable);
    expect(explain(error)).toContain("no descriptor for inode://4/4711 arrived within 5000 ms");
    const closing = { ...request().connection!, mechanism: kernel("inode://4/4711") };
    await client.close(Context.background({ clock }), closing);
  });
});

/** Uses a connection with descriptors, but sends none. */
function announcing(): NetworkServiceElement {
  return {
    name: "announcing",
    request: (ctx, message, next) => next.request(ctx.with(attachments, []), message),
    close: (ctx, connection, next) => next.close(ctx.with(attachments, []), connection),
  };
}

const urlIn = ({ requests }: Recorder): string | undefined =>
  requests[0]!.connection!.mechanism?.parameters["inodeURL"];
