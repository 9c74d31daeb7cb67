// Everything a program does with a ComfyUI, by Comfy-Org's own client; prints what it saw as one JSON object.
import { readFile } from "node:fs/promises";
import { Comfy } from "@comfyorg/sdk";

const [firstFile, secondFile, slowFile] = process.argv.slice(2);
const client = new Comfy({ apiKey: process.env.COMFY_API_KEY });
const seen = { kinds: [], progress: [] };

const job = await client.submit(await client.workflows.fromFile(firstFile));
for await (const event of job.events()) {
  seen.kinds.push(event.kind);
  if (event.kind === "progress") seen.progress.push(event.value);
}
await job.result();
seen.job = { id: job.id, status: job.status, outputs: job.outputs.length };
const drawn = await job.outputs[0].toBytes();
seen.drawn = Buffer.from(drawn).toString("base64");

const again = await client.workflows.fromFile(secondFile);
again.setInput("2", "image", client.assets.fromBytes(drawn, { filename: "drawn.png", contentType: "image/png" }));
const second = await client.run(again, { timeoutMs: 60000 });
seen.second = { id: second.id, status: second.status };
await second.outputs[0].toFile(process.env.DOWNLOAD);
seen.workflow = (await second.getWorkflow()).format;

const slow = await client.submit(await client.workflows.fromFile(slowFile));
await slow.cancel();
seen.cancelled = (await slow.wait(60000)).status;
seen.known = (await client.jobs.get(job.id)).status;

// This client lists no jobs yet; the route is the contract's.
const headers = { Authorization: `Bearer ${process.env.COMFY_API_KEY}` };
const page = await (await fetch(`${process.env.COMFY_BASE_URL}/api/v2/jobs?limit=3`, { headers })).json();
seen.listed = page.jobs.map((item) => item.id);
seen.slow = slow.id;

try {
  await client.submit(client.workflows.fromJson(JSON.parse(await readFile(firstFile)).nothing ?? { nodes: [], links: [] }));
} catch (error) {
  seen.refused = error.constructor.name;
}
console.log(JSON.stringify(seen));
