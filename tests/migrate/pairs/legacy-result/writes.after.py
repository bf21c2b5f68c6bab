import json

from vllm_connect import OpenAI

client = OpenAI()


def talk(messages, path):
    response = client.chat.completions.create(model="m", messages=messages)
    with open(path, "w") as file:
        json.dump(response.to_dict(), file, indent=2)
    print(json.dumps(response.usage.to_dict()), response.choices[0].message.to_dict(), response.to_dict())
    messages.append(response.choices[0].message.to_dict())
    messages += [response.choices[0].message.to_dict(), {"role": "user", "content": "More."}]
    if response.choices[0].message.function_call is not None:
        return response.choices[0].message.function_call
    return messages
