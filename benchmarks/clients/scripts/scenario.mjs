// What a script for Node does in turn: node SCRIPT URL [scenario …] prints a line for each.
import { readFileSync } from "node:fs";

export const url = process.argv[2];
export const gateway = Boolean(process.env.GATEWAY);
export const model = "gpt-4o";
export const hello = "Hello there!";
export const ask = "When does the blue lamp leave?";
export const find = "Where is my order 10432?";
export const attack = "I will kill you";
export const wrong = "Paint it in the wrong colour.";
export const again = "Say it once more.";
export const answer = "It leaves tomorrow at noon.";
export const refusal = "I cannot help with that.";
const expected = {
  chat: answer,
  stream: answer,
  tools: "The order is on its way.",
  structured: "other",
  second: ["Hi! How can I help?", answer],
  block: refusal,
  error: "No model of this colour exists.",
  retry: answer,
};

// What all of a client's ways give; all of it, where they differ.
export const same = (found) =>
  found.every((each) => JSON.stringify(each) === JSON.stringify(found[0])) ? found[0] : found;

export async function raised(call) {
  try {
    return `no error: ${JSON.stringify(await call())}`;
  } catch (error) {
    return String(error);
  }
}

export async function run(script, ...packages) {
  const version = (name) => JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url))).version;
  console.log(...packages.map((name) => `${name} ${version(name)}`));
  const asked = process.argv.slice(3);
  for (const name of (asked.length ? asked : Object.keys(expected)).filter((one) => one in script)) {
    const found = await script[name]().catch((error) => error.stack);
    const same = JSON.stringify(found) === JSON.stringify(expected[name]);
    const right = name === "error" ? String(found).includes(expected.error) : same;
    console.log(JSON.stringify({ scenario: name, right, ...(right ? {} : { found }) }));
    if (!right) process.exitCode = 1;
  }
}
