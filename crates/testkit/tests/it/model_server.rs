//! The model server with a plain HTTP client in place of an agent.

use std::io::Read;

use kugetsu_testkit::model::reply::{COMPLETION_TOKENS, PROMPT_TOKENS};
use kugetsu_testkit::model::request::Outcome;
use kugetsu_testkit::model::script::{FOREVER, Hang, Slow, Status};
use kugetsu_testkit::{ModelServer, Script, Step};
use serde_json::{Value, json};

use crate::http::{Answer, head, post, send};

/// The body of an agent's request in a turn.
fn turn(messages: &[(&str, &str)]) -> Value {
    let messages: Vec<Value> =
        messages.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    let tools =
        ["bash", "write", "edit"].map(|name| json!({"type": "function", "function": {"name": name, "parameters": {}}}));
    json!({"model": "mock-1", "stream": true, "messages": messages, "tools": tools})
}

fn complete(server: &ModelServer, body: &Value) -> Answer {
    post(&format!("{}/chat/completions", server.base_url()), &[("x-session-affinity", "ses_1")], body)
}

fn chunks(answer: &Answer) -> Vec<Value> {
    let data = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn text(answer: &Answer) -> String {
    let chunks = chunks(answer);
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

fn finish(answer: &Answer) -> Option<String> {
    let chunks = chunks(answer);
    chunks.iter().find_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).map(str::to_owned)
}

/// The name and the arguments of the called tool.
fn call(answer: &Answer) -> (String, Value) {
    let (mut name, mut arguments) = (String::new(), String::new());
    for chunk in chunks(answer) {
        let function = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"];
        name += function["name"].as_str().unwrap_or_default();
        arguments += function["arguments"].as_str().unwrap_or_default();
    }
    (name, serde_json::from_str(&arguments).unwrap())
}

#[test]
fn script_in_the_message_advances_with_every_answer() {
    let server = ModelServer::start(Script::say("the default"));
    let script = Script::new([
        Step::bash("ls -l"),
        Step::write("a", "b"),
        Step::edit("a", "b", "c"),
        Step::Say("All done.".into()),
    ]);
    let prompt = format!("Please.\n{}", script.as_message());
    let mut messages = vec![("system", "be good"), ("user", prompt.as_str())];

    let first = complete(&server, &turn(&messages));
    assert_eq!((first.status, finish(&first).as_deref()), (200, Some("tool_calls")));
    assert_eq!(call(&first), ("bash".into(), json!({"command": "ls -l", "description": "ls -l"})));

    messages.extend([("assistant", ""), ("tool", "total 0")]);
    assert_eq!(call(&complete(&server, &turn(&messages))), ("write".into(), json!({"filePath": "a", "content": "b"})));
    messages.extend([("assistant", ""), ("tool", "ok")]);
    let edit = json!({"filePath": "a", "oldString": "b", "newString": "c"});
    assert_eq!(call(&complete(&server, &turn(&messages))), ("edit".into(), edit));

    messages.extend([("assistant", ""), ("tool", "ok")]);
    let last = complete(&server, &turn(&messages));
    assert_eq!((text(&last).as_str(), finish(&last).as_deref()), ("All done.", Some("stop")));
    assert!(last.complete && last.body.ends_with("data: [DONE]\n\n"));
    messages.push(("assistant", "All done."));
    assert_eq!(text(&complete(&server, &turn(&messages))), "Done.");
}

#[test]
fn scripts_are_chosen_by_marker_then_name_then_default() {
    let server = ModelServer::start(Script::say("default"));
    server.name_script("issue-7", Script::say("seven"));
    server.name_script("issue-77", Script::say("seventy-seven"));
    let answer_to =
        |prompt: &str| text(&complete(&server, &turn(&[("user", "issue-7"), ("assistant", "x"), ("user", prompt)])));
    assert_eq!(answer_to("something else"), "default");
    assert_eq!(answer_to("work on issue-7, please"), "seven");
    assert_eq!(answer_to("work on issue-77, please"), "seventy-seven");
    assert_eq!(answer_to("issue-7\nkugetsu-script: [{\"say\": \"marked, in {session}\"}]"), "marked, in ses_1");
    server.set_script(Script::say("another"));
    assert_eq!(answer_to("something else"), "another");
}

#[test]
fn invalid_script_is_refused_with_the_reason() {
    let server = ModelServer::start(Script::default());
    let answer = complete(&server, &turn(&[("user", "kugetsu-script: [{\"dance\": 1}]")]));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("dance"), "{}", answer.body);
}

#[test]
fn title_requests_are_not_part_of_a_turn() {
    let server = ModelServer::start(Script::new([Step::status(500, FOREVER)]));
    let mut title = turn(&[("user", "hello")]);
    title["tools"] = json!([]);
    assert_eq!(text(&complete(&server, &title)), "Scripted title");
    assert!(server.turn_requests().is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn usage_is_constant() {
    let server = ModelServer::start(Script::say("hello"));
    let answer = complete(&server, &turn(&[("user", "hi")]));
    let usage = chunks(&answer).last().unwrap()["usage"].clone();
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(PROMPT_TOKENS), &json!(COMPLETION_TOKENS))
    );
    assert_eq!(usage["total_tokens"], PROMPT_TOKENS + COMPLETION_TOKENS);
}

#[test]
fn answer_without_streaming_is_one_value() {
    let server = ModelServer::start(Script::say("hello"));
    let mut body = turn(&[("user", "hi")]);
    body["stream"] = false.into();
    let answer: Value = serde_json::from_str(&complete(&server, &body).body).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");
}

#[test]
fn status_repeats_as_often_as_scripted() {
    let status = Status { code: 429, times: 2, retry_after: Some(7) };
    let server = ModelServer::start(Script::new([Step::Status(status), Step::Say("at last".into())]));
    let body = turn(&[("user", "hi")]);
    for _ in 0..2 {
        let answer = complete(&server, &body);
        assert_eq!(answer.status, 429);
        assert!(answer.head.to_lowercase().contains("retry-after: 7"), "{}", answer.head);
    }
    assert_eq!(text(&complete(&server, &body)), "at last");
    let outcomes: Vec<Outcome> = server.requests().into_iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, [Outcome::Refused(429), Outcome::Refused(429), Outcome::Answered]);
}

#[test]
fn cut_answer_has_no_finish_reason() {
    let server = ModelServer::start(Script::new([Step::cut("half a sen", 1), Step::Say("whole".into())]));
    let answer = complete(&server, &turn(&[("user", "hi")]));
    assert_eq!((text(&answer).as_str(), finish(&answer), answer.complete), ("half a sen", None, true));
    let next = complete(&server, &turn(&[("user", "hi"), ("assistant", "half a sen")]));
    assert_eq!((text(&next).as_str(), finish(&next).as_deref()), ("whole", Some("stop")));
}

#[test]
fn cut_can_break_the_connection() {
    let script = json!([{"cut": {"text": "half", "disconnect": true}}]);
    let server = ModelServer::start(serde_json::from_value(script).unwrap());
    let answer = complete(&server, &turn(&[("user", "hi")]));
    assert_eq!((text(&answer).as_str(), answer.complete), ("half", false));
}

#[test]
fn slow_answer_is_sent_word_by_word() {
    let server = ModelServer::start(Script::new([Step::Slow(Slow { delay_ms: 1, text: "one two three".into() })]));
    let answer = complete(&server, &turn(&[("user", "hi")]));
    assert_eq!(text(&answer), "one two three");
    assert_eq!(chunks(&answer).iter().filter(|chunk| chunk["choices"][0]["delta"]["content"].is_string()).count(), 3);
}

#[tokio::test]
async fn disconnect_during_a_hanging_answer_is_recorded() {
    let server = ModelServer::start(Script::new([Step::Hang(Hang { text: "wait ".into() })]));
    let mut stream = send(&format!("{}/chat/completions", server.base_url()), &[], &turn(&[("user", "hi")]));
    head(&mut stream);
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("wait ") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    assert_eq!(server.requests()[0].outcome, Outcome::Open);
    drop(stream);
    server.await_state("the abandoned request", |requests| requests[0].outcome == Outcome::Abandoned).await;
}

#[test]
fn gate_blocks_requests_until_it_is_opened() {
    let server = ModelServer::start(Script::new([Step::wait("door"), Step::Say("through".into())]));
    std::thread::scope(|scope| {
        let clients = ["one", "two"].map(|prompt| {
            let server = &server;
            scope.spawn(move || text(&complete(server, &turn(&[("user", prompt)]))))
        });
        server.block_for_waiting("door", 2);
        assert!(clients.iter().all(|client| !client.is_finished()));
        server.open_gate("door");
        for client in clients {
            assert_eq!(client.join().unwrap(), "through");
        }
    });
}

#[test]
fn requests_are_recorded_with_their_history_and_directory() {
    let server = ModelServer::start(Script::say("hello"));
    let system = "You are an agent.\n<env>\n  Working directory: /some/tree\n</env>";
    complete(&server, &turn(&[("system", system), ("user", "first"), ("assistant", "a"), ("user", "second")]));
    let requests = server.block_for_requests(1);
    assert_eq!(requests[0].session.as_deref(), Some("ses_1"));
    assert_eq!(requests[0].working_directory().as_deref(), Some("/some/tree"));
    assert_eq!(requests[0].texts("user"), ["first", "second"]);
    assert_eq!(requests[0].tools(), ["bash", "write", "edit"]);
}

#[test]
fn given_port_is_used_or_an_error_returned() {
    let first = ModelServer::start(Script::default());
    let address = first.base_url().trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap();
    ModelServer::start_at(address, Script::default()).unwrap_err();
    drop(first);
    let second = ModelServer::start_at(address, Script::say("here")).unwrap();
    assert_eq!(text(&complete(&second, &turn(&[("user", "hi")]))), "here");
}

#[test]
fn opencode_configuration_names_this_server() {
    let server = ModelServer::start(Script::default());
    let config: Value = serde_json::from_str(&server.opencode_config_with(&json!({"bash": "ask"}))).unwrap();
    assert_eq!(config["provider"]["mock"]["options"]["baseURL"], server.base_url());
    assert_eq!(config["permission"]["bash"], "ask");
    let plain: Value = serde_json::from_str(&server.opencode_config()).unwrap();
    assert!(plain.get("permission").is_none());
}
