// Vercel AI SDK by its default model (responses), and by chat completions.
import { createOpenAI } from "@ai-sdk/openai";
import { embed, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import * as s from "./scenario.mjs";

const openai = createOpenAI({ baseURL: `${s.url}/v1`, apiKey: "unused" });
const models = [openai(s.model), openai.chat(s.model)];
const schema = z.object({ intent: z.enum(["order", "other"]) });
const find_order = tool({
  description: "Finds an order.",
  inputSchema: z.object({ number: z.string() }),
  execute: async ({ number }) => `${number} is on its way`,
});
const each = async (scenario) => {
  const found = [];
  for (const model of models) found.push(await scenario(model));
  return s.same(found);
};
const say = (prompt) => each(async (model) => (await generateText({ model, prompt })).text);
const stream = (prompt) =>
  each(async (model) => {
    const parts = streamText({ model, prompt });
    let text = "";
    for await (const part of parts.textStream) text += part;
    return text;
  });

await s.run(
  {
    chat: async () => {
      await embed({ model: openai.embedding(s.model), value: "a lamp" });
      return say(s.ask);
    },
    stream: () => stream(s.ask),
    tools: () =>
      each(async (model) => {
        const found = await generateText({ model, prompt: s.find, tools: { find_order }, stopWhen: stepCountIs(3) });
        return found.text;
      }),
    structured: () => each(async (model) => (await generateObject({ model, prompt: s.ask, schema })).object.intent),
    second: () =>
      each(async (model) => {
        const messages = [{ role: "user", content: s.hello }];
        const first = await generateText({ model, messages });
        messages.push(...first.response.messages, { role: "user", content: s.ask });
        return [first.text, (await generateText({ model, messages })).text];
      }),
    block: async () => s.same([await say(s.attack), await stream(s.attack)]),
    error: () => s.raised(() => say(s.wrong)),
    retry: () => say(s.again),
  },
  "ai",
  "@ai-sdk/openai",
);
