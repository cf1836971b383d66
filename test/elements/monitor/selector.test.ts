import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Connection, MonitorScopeSelector, Path, PathSegment } from "../../../src/api/index.js";
import { matchesSelector, SelectorIndex } from "../../../src/elements/monitor/selector.js";

const segment = (name: string, id = "", token = ""): PathSegment => PathSegment.create({ name, id, token });
const selector = (pathSegments: PathSegment[], networkServices: string[] = []): MonitorScopeSelector =>
  MonitorScopeSelector.create({ pathSegments, networkServices });
const connection = (networkService: string, ...pathSegments: PathSegment[]): Connection =>
  Connection.create({ networkService, path: Path.create({ index: 0, pathSegments }) });

describe("a selector", () => {
  const connectionWithPath = connection(
    "icmp",
    segment("nsc", "1", "t1"),
    segment("nsmgr", "2", "t2"),
    segment("nse", "3"),
  );

  test.each([
    ["nothing", selector([])],
    ["its service", selector([], ["other", "icmp"])],
    ["a segment by name", selector([segment("nsmgr")])],
    ["a segment by id", selector([segment("", "2")])],
    ["a segment by token", selector([segment("", "", "t2")])],
    ["a run of segments", selector([segment("nsc"), segment("", "2"), segment("nse", "3")])],
    ["a run with anything in it", selector([segment("nsmgr"), segment("")], ["icmp"])],
  ])("that names %s matches", (_, wanted) => expect(matchesSelector(wanted, connectionWithPath)).toBe(true));

  test.each([
    ["another service", selector([], ["icm"])],
    ["another service and its segment", selector([segment("nsc")], ["other"])],
    ["another name", selector([segment("nsmgr-2")])],
    ["name and id of different segments", selector([segment("nsc", "2")])],
    ["segments that do not follow each other", selector([segment("nsc"), segment("nse")])],
    ["segments in another order", selector([segment("nse"), segment("nsmgr")])],
    ["more segments than there are", selector([segment("nse"), segment("")])],
  ])("that names %s does not match", (_, wanted) =>
    expect(matchesSelector(wanted, connectionWithPath)).toBe(false),
  );

  test("matches a connection without a path only if it names no segments", () => {
    const bare = Connection.create({ networkService: "icmp" });
    expect(matchesSelector(selector([], ["icmp"]), bare)).toBe(true);
    expect(matchesSelector(selector([segment("")]), bare)).toBe(false);
  });
});

test("an index of selectors finds every match for a connection, and forgets deleted ones", () => {
  const word = fc.constantFrom("", "a", "b", "c");
  const segments = fc.array(
    fc.record({ name: word, id: word, token: word }).map(({ name, id, token }) => segment(name, id, token)),
    { maxLength: 4 },
  );
  const services = fc.array(fc.constantFrom("icmp", "vpn"), { maxLength: 2 });
  const wanted = fc.tuple(segments, services).map(([path, of]) => ({ selector: selector(path, of) }));
  fc.assert(
    fc.property(
      fc.array(wanted, { maxLength: 6 }),
      segments,
      fc.constantFrom("icmp", "vpn", ""),
      (entries, path, service) => {
        const index = new SelectorIndex<(typeof entries)[number]>();
        for (const entry of entries) index.add(entry);
        const one = connection(service, ...path);
        const found = index.find(one);
        for (const entry of entries) if (matchesSelector(entry.selector, one)) expect(found).toContain(entry);
        for (const entry of entries) index.delete(entry);
        expect(index.size).toBe(0);
        expect(index.find(one).size).toBe(0);
      },
    ),
    { seed: 1, numRuns: 1_000 },
  );
});
