//! Every dialect of the model server with a plain HTTP client: one conversation, and every way in which an answer ends.

use kugetsu_testkit::model::reply::{COMPLETION_TOKENS, PROMPT_TOKENS};
use kugetsu_testkit::model::script::{Call, FOREVER, Status, Thought, ToolCall, Tools};
use kugetsu_testkit::{ModelServer, Script, Step};
use serde_json::{Value, json};

use crate::http::{Answer, post};

/// How a client of one dialect writes requests and reads answers.
struct Client {
    name: &'static str,
    stream: &'static str,
    single: &'static str,
    /// The body of a request with a prompt and the results of the calls before it.
    body: fn(prompt: &str, calls: usize) -> Value,
    /// Text, calls and the end of a streamed answer.
    read: fn(events: &[Value]) -> Read,
    /// Text of an answer in one value.
    text: fn(&Value) -> &Value,
    /// Reasons of the end: finished, tool calls, full, filtered.
    ends: [&'static str; 4],
    /// The message of an error.
    error: fn(&Value) -> &Value,
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    thought: String,
    text: String,
    calls: Vec<(String, Value)>,
    end: String,
    tokens: (u64, u64),
}

const CLIENTS: [Client; 4] = [
    Client {
        name: "chat completions",
        stream: "/v1/chat/completions",
        single: "/v1/chat/completions",
        body: |prompt, calls| {
            let mut messages = vec![json!({"role": "user", "content": prompt})];
            for n in 0..calls {
                messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{"id": n}]}));
                messages.push(json!({"role": "tool", "tool_call_id": n, "content": "ok"}));
            }
            let tool = json!({"type": "function", "function": {"name": "shell", "parameters": schema()}});
            json!({"model": "m", "stream": true, "messages": messages, "tools": [tool]})
        },
        read: |events| {
            let mut read = Read::default();
            for event in events {
                let delta = &event["choices"][0]["delta"];
                read.thought += delta["reasoning_content"].as_str().unwrap_or_default();
                read.text += delta["content"].as_str().unwrap_or_default();
                let function = &delta["tool_calls"][0]["function"];
                if let Some(name) = function["name"].as_str() {
                    read.calls.push((name.to_owned(), Value::Null));
                } else if let Some(last) = read.calls.last_mut().filter(|_| function.is_object()) {
                    last.1 = parse(&function["arguments"]);
                }
                read.end += event["choices"][0]["finish_reason"].as_str().unwrap_or_default();
                read.add_tokens(&event["usage"]["prompt_tokens"], &event["usage"]["completion_tokens"]);
            }
            read
        },
        text: |body| &body["choices"][0]["message"]["content"],
        ends: ["stop", "tool_calls", "length", "content_filter"],
        error: |body| &body["error"]["message"],
    },
    Client {
        name: "Messages",
        stream: "/v1/messages",
        single: "/v1/messages",
        body: |prompt, calls| {
            let mut messages = vec![json!({"role": "user", "content": [{"type": "text", "text": prompt}]})];
            for n in 0..calls {
                let call = json!({"type": "tool_use", "id": n, "name": "shell", "input": {}});
                let result = json!({"type": "tool_result", "tool_use_id": n, "content": "ok"});
                messages.push(json!({"role": "assistant", "content": [call]}));
                messages.push(json!({"role": "user", "content": [result]}));
            }
            let tool = json!({"name": "shell", "input_schema": schema()});
            json!({"model": "m", "stream": true, "system": "be good", "messages": messages, "tools": [tool]})
        },
        read: |events| {
            let mut read = Read::default();
            let mut open = None;
            for event in events {
                let delta = &event["delta"];
                match event["type"].as_str().unwrap() {
                    "message_start" => read.tokens.0 = event["message"]["usage"]["input_tokens"].as_u64().unwrap(),
                    "content_block_start" => {
                        assert_eq!(open.replace(event["index"].clone()), None, "one block at a time");
                        if let Some(name) = event["content_block"]["name"].as_str() {
                            read.calls.push((name.to_owned(), Value::Null));
                        }
                    }
                    "content_block_delta" => {
                        assert_eq!(open.as_ref(), Some(&event["index"]));
                        read.thought += delta["thinking"].as_str().unwrap_or_default();
                        read.text += delta["text"].as_str().unwrap_or_default();
                        if delta["partial_json"].is_string() {
                            read.calls.last_mut().unwrap().1 = parse(&delta["partial_json"]);
                        }
                    }
                    "content_block_stop" => assert_eq!(open.take().as_ref(), Some(&event["index"])),
                    "message_delta" => {
                        read.end += delta["stop_reason"].as_str().unwrap();
                        read.tokens.1 = event["usage"]["output_tokens"].as_u64().unwrap();
                    }
                    other => assert_eq!(other, "message_stop"),
                }
            }
            read
        },
        text: |body| &body["content"][0]["text"],
        ends: ["end_turn", "tool_use", "max_tokens", "refusal"],
        error: |body| &body["error"]["message"],
    },
    Client {
        name: "Responses",
        stream: "/v1/responses",
        single: "/v1/responses",
        body: |prompt, calls| {
            let content = json!([{"type": "input_text", "text": prompt}]);
            let mut input = vec![json!({"type": "message", "role": "user", "content": content})];
            for n in 0..calls {
                let id = format!("call_scripted_{n}_0");
                input.push(json!({"type": "function_call", "call_id": id, "name": "shell", "arguments": "{}"}));
                input.push(json!({"type": "function_call_output", "call_id": id, "output": "ok"}));
            }
            let tool = json!({"type": "function", "name": "shell", "parameters": schema()});
            json!({"model": "m", "stream": true, "input": input, "tools": [tool]})
        },
        read: |events| {
            let mut read = Read::default();
            for event in events {
                let delta = event["delta"].as_str().unwrap_or_default();
                match event["type"].as_str().unwrap() {
                    "response.reasoning_summary_text.delta" => read.thought += delta,
                    "response.output_text.delta" => read.text += delta,
                    "response.output_item.done" if event["item"]["type"] == "function_call" => {
                        let name = event["item"]["name"].as_str().unwrap().to_owned();
                        read.calls.push((name, parse(&event["item"]["arguments"])));
                    }
                    "response.completed" | "response.incomplete" => {
                        let response = &event["response"];
                        let reason = &response["incomplete_details"]["reason"];
                        read.end += reason.as_str().or(response["status"].as_str()).unwrap();
                        read.add_tokens(&response["usage"]["input_tokens"], &response["usage"]["output_tokens"]);
                    }
                    _ => {}
                }
            }
            read
        },
        text: |body| &body["output"][0]["content"][0]["text"],
        ends: ["completed", "completed", "max_output_tokens", "content_filter"],
        error: |body| &body["error"]["message"],
    },
    Client {
        name: "Gemini",
        stream: "/v1beta/models/m:streamGenerateContent?alt=sse",
        single: "/v1beta/models/m:generateContent",
        body: |prompt, calls| {
            let mut contents = vec![json!({"role": "user", "parts": [{"text": prompt}]})];
            for _ in 0..calls {
                let result = json!({"name": "shell", "response": {"output": "ok"}});
                contents.push(json!({"role": "model", "parts": [{"functionCall": {"name": "shell", "args": {}}}]}));
                contents.push(json!({"role": "user", "parts": [{"functionResponse": result}]}));
            }
            let tool = json!({"name": "shell", "parametersJsonSchema": schema()});
            json!({"contents": contents, "tools": [{"functionDeclarations": [tool]}]})
        },
        read: |events| {
            let mut read = Read::default();
            for event in events {
                let candidate = &event["candidates"][0];
                let part = &candidate["content"]["parts"][0];
                let text = part["text"].as_str().unwrap_or_default();
                if part["thought"] == true { &mut read.thought } else { &mut read.text }.push_str(text);
                if let Some(name) = part["functionCall"]["name"].as_str() {
                    read.calls.push((name.to_owned(), part["functionCall"]["args"].clone()));
                }
                read.end += candidate["finishReason"].as_str().unwrap_or_default();
                let usage = &event["usageMetadata"];
                read.add_tokens(&usage["promptTokenCount"], &usage["candidatesTokenCount"]);
            }
            read
        },
        text: |body| &body["candidates"][0]["content"]["parts"][0]["text"],
        ends: ["STOP", "STOP", "MAX_TOKENS", "SAFETY"],
        error: |body| &body["error"]["message"],
    },
];

impl Read {
    fn add_tokens(&mut self, prompt: &Value, completion: &Value) {
        self.tokens.0 += prompt.as_u64().unwrap_or(0);
        self.tokens.1 += completion.as_u64().unwrap_or(0);
    }
}

impl Client {
    fn send(&self, server: &ModelServer, script: &Script, calls: usize) -> Answer {
        let body = (self.body)(&format!("In {}, please.\n{}", self.name, script.as_message()), calls);
        post(&format!("{}{}", server.root_url(), self.stream), &[], &body)
    }

    fn receive(&self, answer: &Answer) -> Read {
        let data = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
        let events: Vec<Value> =
            data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect();
        (self.read)(&events)
    }
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]})
}

fn parse(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

fn server() -> ModelServer {
    ModelServer::start(Script::say("the default"))
}

#[test]
fn conversation_is_the_same_in_every_dialect() {
    let server = server();
    let calls = ["ls", "pwd"].map(|command| {
        let arguments = json!({"command": command});
        ToolCall::Call(Call { tool: "shell".into(), arguments })
    });
    let script = Script::new([
        Step::bash("make test"),
        Step::Tools(Tools { say: "Two calls.".into(), calls: calls.to_vec() }),
        Step::Thought(Thought { text: "It is done.".into(), say: "All done.".into() }),
    ]);
    for client in &CLIENTS {
        let answers = [0, 1, 2].map(|calls| client.receive(&client.send(&server, &script, calls)));
        let tokens = (PROMPT_TOKENS, COMPLETION_TOKENS);
        let call = |command: &str| ("shell".to_owned(), json!({"command": command}));
        let [finished, calls, ..] = client.ends.map(str::to_owned);
        let expected = [
            Read { calls: vec![call("make test")], end: calls.clone(), tokens, ..Read::default() },
            Read {
                text: "Two calls.".into(),
                calls: vec![call("ls"), call("pwd")],
                end: calls,
                tokens,
                ..Read::default()
            },
            Read { thought: "It is done.".into(), text: "All done.".into(), end: finished, tokens, ..Read::default() },
        ];
        assert_eq!(answers, expected, "{}", client.name);
    }
    for request in server.turn_requests() {
        assert_eq!((request.tools(), request.texts("user").len()), (vec!["shell"], 1), "{}", request.path);
    }
}

#[test]
fn answers_end_early_in_every_dialect() {
    for client in &CLIENTS {
        let server = server();
        let end = |step: Step| client.receive(&client.send(&server, &Script::new([step]), 0));
        let full = end(Step::Full("As much".into()));
        assert_eq!((full.text.as_str(), full.end.as_str()), ("As much", client.ends[2]), "{}", client.name);
        let filtered = end(Step::Filtered("That is".into()));
        assert_eq!((filtered.text.as_str(), filtered.end.as_str()), ("That is", client.ends[3]), "{}", client.name);
        let cut = end(Step::cut("half a", FOREVER));
        assert_eq!((cut.text.as_str(), cut.end.as_str()), ("half a", ""), "{}", client.name);
        let script = json!([{"cut": {"text": "half a", "disconnect": true}}]);
        let broken = client.send(&server, &serde_json::from_value(script).unwrap(), 0);
        let read = client.receive(&broken);
        assert_eq!((read.text.as_str(), broken.complete), ("half a", false), "{}: {}", client.name, broken.body);
    }
}

#[test]
fn errors_have_the_form_of_the_dialect() {
    let server = server();
    let status = |code, retry_after| Script::new([Step::Status(Status { code, times: FOREVER, retry_after })]);
    for client in &CLIENTS {
        for code in [400, 401, 429, 500] {
            let answer = client.send(&server, &status(code, (code == 429).then_some(9)), 0);
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((answer.status, (client.error)(&body)), (code, &json!(format!("scripted status {code}"))));
            let has_pause = answer.head.to_lowercase().contains("retry-after: 9");
            assert_eq!(has_pause, code == 429, "{}: {}", client.name, answer.head);
        }
    }
}

#[test]
fn answer_without_streaming_is_one_value_in_every_dialect() {
    let server = server();
    for client in &CLIENTS {
        let mut body = (client.body)("hello", 0);
        body["stream"] = false.into();
        let answer = post(&format!("{}{}", server.root_url(), client.single), &[], &body);
        let value: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((client.text)(&value), "the default", "{}: {value}", client.name);
    }
}

#[test]
fn tokens_are_counted_without_a_turn() {
    let server = server();
    let count = |path: &str, body: &Value| -> Value {
        serde_json::from_str(&post(&format!("{}{path}", server.root_url()), &[], body).body).unwrap()
    };
    let messages = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(count("/v1/messages/count_tokens", &messages)["input_tokens"], PROMPT_TOKENS);
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    assert_eq!(count("/v1beta/models/m:countTokens", &contents)["totalTokens"], PROMPT_TOKENS);
    assert!(server.requests().is_empty());
}
