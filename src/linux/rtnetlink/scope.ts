/** How far an address or route reaches: "link" for directly connected hosts, "universe" for all others. */
export type Scope = "universe" | "site" | "link" | "host" | "nowhere";

const numbers: Readonly<Record<Scope, number>> = {
  universe: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
};

export function scopeNumber(scope: Scope): number {
  return numbers[scope];
}

export function scopeName(number: number): Scope {
  const found = (Object.entries(numbers) as [Scope, number][]).find(([, value]) => value === number);
  return found ? found[0] : "universe";
}
