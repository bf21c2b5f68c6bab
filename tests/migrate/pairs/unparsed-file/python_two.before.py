import openai
print "old", openai.api_key
