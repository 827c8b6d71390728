// Vercel AI SDK: objects, enums, tools and text, whole and streamed, through its own parsers.
// Takes the gateway's base URL. Nothing answers behind that gateway.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { generateObject, generateText, Output, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const openai = createOpenAI({ baseURL: process.argv[2], apiKey: "unused" });
const model = openai.chat("gpt-4o");
const prompt = "Hello there!";
const system = "Name the intent: GREETING, OPENING HOURS or OTHER. Answer with it only.";
const schema = z.object({
  intent: z.enum(["Greeting", "Opening-Hours", "other"]),
  note: z.string().nullable(),
});
const expected = { intent: "Greeting", note: null };
const asked = { model, prompt, maxRetries: 0 };

const whole = await generateObject({ ...asked, schema });
assert.deepEqual(whole.object, expected);
assert.equal(whole.finishReason, "stop");
assert.ok(whole.usage.totalTokens > 0);

const named = await generateObject({ ...asked, output: "enum", enum: ["greeting", "opening_hours", "other"] });
assert.equal(named.object, "greeting");

const streamed = streamObject({ ...asked, schema });
for await (const _ of streamed.partialObjectStream);
assert.deepEqual(await streamed.object, expected);

const inText = await generateText({ ...asked, output: Output.object({ schema }) });
assert.deepEqual(inText.output, expected);

const tools = { route: tool({ description: "Routes a message.", inputSchema: schema }) };
for (const toolChoice of [{ type: "tool", toolName: "route" }, "required"]) {
  const called = await generateText({ ...asked, tools, toolChoice });
  assert.deepEqual(called.toolCalls.map((one) => [one.toolName, one.input]), [["route", expected]]);
  const flowing = streamText({ ...asked, tools, toolChoice });
  for await (const _ of flowing.textStream);
  assert.deepEqual((await flowing.toolCalls).map((one) => one.input), [expected]);
}

const said = await generateText({ ...asked, system });
assert.equal(said.text, "GREETING");
const words = streamText({ ...asked, system });
let text = "";
for await (const part of words.textStream) text += part;
assert.equal(text, "GREETING");

const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
console.log(`ai ${version("ai")}, @ai-sdk/openai ${version("@ai-sdk/openai")}`);
