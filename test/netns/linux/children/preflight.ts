import { preflight } from "../../../../src/linux/index.js";

console.log(JSON.stringify(await preflight()));
