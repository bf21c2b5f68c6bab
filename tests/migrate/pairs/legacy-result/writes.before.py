import json

import openai


def talk(messages, path):
    response = openai.ChatCompletion.create(model="m", messages=messages)
    with open(path, "w") as file:
        json.dump(response, file, indent=2)
    print(json.dumps(response["usage"]), dict(response.choices[0].message), response.to_dict_recursive())
    messages.append(response.choices[0].message)
    messages += [response["choices"][0]["message"], {"role": "user", "content": "More."}]
    if hasattr(response.choices[0].message, "function_call"):
        return response["choices"][0]["message"].get("function_call")
    return messages
