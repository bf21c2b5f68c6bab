const { Client } = require("pg"); // not openai
const text = "from openai";
const name = "openai";
