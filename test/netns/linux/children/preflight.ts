import { preflight } from "nsm-sdk/linux";

console.log(JSON.stringify(await preflight()));
