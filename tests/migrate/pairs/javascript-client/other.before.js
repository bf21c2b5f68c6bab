const { Client } = require("pg"); // not openai
const text = "from openai";
