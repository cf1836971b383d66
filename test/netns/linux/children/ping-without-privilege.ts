import { currentNamespace, ping } from "../../../../src/linux/index.js";

const here = currentNamespace();
console.log(JSON.stringify(await ping({ namespace: here, to: "172.16.1.100", count: 2 })));
here.close();
