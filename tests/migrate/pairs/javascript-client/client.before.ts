// import OpenAI from "openai";
import OpenAI from "openai";
import { ChatOpenAI } from '@langchain/openai';
/* const other = require("openai"); */
const quote = /["']/;
const client = new OpenAI({ apiKey: process.env.OPENAI_API_KEY, baseURL: "https://api.openai.com/v1" });
const answer = await client.chat.completions.create({
  model: `gpt-4o`,
  messages: [{ role: "user", content: "Is gpt-4o from openai?" }],
});
