//! Signs the deliveries of webhooks and sends them, in order, from a thread of their own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ring::hmac;

use super::event::{Body, Event};
use super::flavor::Flavor;
use super::hook::{Delivery, Hook, Mishap};
use super::state::ForgeState;
use super::{gitea, github, gitlab};
use crate::watched::Watched;

/// Timeout of a receiver, and of a delayed delivery that no other one follows.
const PATIENCE: Duration = Duration::from_secs(5);

/// A signed delivery on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    delivery: Delivery,
    mishap: Option<Mishap>,
}

/// Builds the deliveries about the events so far, each with the next mishap.
pub(super) fn take(forge: &mut ForgeState, mishaps: &Watched<Vec<Mishap>>) -> Vec<Outgoing> {
    let events = std::mem::take(&mut forge.events);
    let mut outgoing = Vec::new();
    for event in events {
        let hooks = forge.projects.get(&event.project).map(|project| project.hooks.clone()).unwrap_or_default();
        for hook in hooks.iter().filter(|hook| hook.active) {
            let Some(body) = body(forge, &event).filter(|body| wants(forge.flavor, hook, body)) else { continue };
            let mishap = mishaps.change(|mishaps| if mishaps.is_empty() { None } else { Some(mishaps.remove(0)) });
            let secret = if mishap == Some(Mishap::Forge) { "another secret" } else { &hook.secret };
            let id = format!("{:08x}-0000-4000-8000-{:012x}", hook.id, forge.new_id());
            let text = body.json.to_string();
            let headers = headers(forge.flavor, &body, &id, secret, &text);
            outgoing.push(Outgoing {
                delivery: Delivery { url: hook.url.clone(), headers, body: text, status: None },
                mishap,
            });
        }
    }
    outgoing
}

fn body(forge: &ForgeState, event: &Event) -> Option<Body> {
    let project = forge.projects.get(&event.project)?;
    let base = if forge.root_url.is_empty() { &forge.own_url } else { &forge.root_url };
    match forge.flavor {
        Flavor::GitHub => github::delivery(base, event, project),
        Flavor::Gitea | Flavor::Forgejo => gitea::delivery(base, event, project),
        Flavor::GitLab => gitlab::delivery(base, event, project),
    }
}

/// Whether the hook was created for such events.
fn wants(flavor: Flavor, hook: &Hook, body: &Body) -> bool {
    let name = match (flavor, body.name) {
        (_, "ping") => return true,
        (Flavor::GitHub, name) => name,
        (Flavor::Gitea | Flavor::Forgejo, _) => body.kind,
        (Flavor::GitLab, "Issue Hook") => "issues_events",
        (Flavor::GitLab, "Note Hook") => "note_events",
        (Flavor::GitLab, "Merge Request Hook") => "merge_requests_events",
        (Flavor::GitLab, "Pipeline Hook") => "pipeline_events",
        (Flavor::GitLab, _) => "push_events",
    };
    hook.events.iter().any(|event| event == name || event == "*")
}

fn headers(flavor: Flavor, body: &Body, id: &str, secret: &str, text: &str) -> Vec<(String, String)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let digest = hmac::sign(&key, text.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    // Without a secret there is no signature, or an empty one.
    let hex = if secret.is_empty() { String::new() } else { hex };
    let prefixed = format!("sha256={hex}");
    let mut headers = vec![("content-type", "application/json")];
    let github = [("x-github-event", body.name), ("x-github-delivery", id)];
    match flavor {
        Flavor::GitHub => {
            headers.extend(github);
            headers.push(("user-agent", "GitHub-Hookshot/044aadd"));
            if !secret.is_empty() {
                headers.push(("x-hub-signature-256", prefixed.as_str()));
            }
        }
        Flavor::Gitea | Flavor::Forgejo => {
            let names =
                [("event", body.name), ("event-type", body.kind), ("delivery", id), ("signature", hex.as_str())];
            let kinds: &[&str] =
                if flavor == Flavor::Forgejo { &["forgejo", "gitea", "gogs"] } else { &["gitea", "gogs"] };
            let own =
                kinds.iter().flat_map(|kind| names.map(|(name, value)| (format!("x-{kind}-{name}"), value.to_owned())));
            let own: Vec<(String, String)> = own.collect();
            headers.extend(github);
            headers.push(("x-hub-signature-256", prefixed.as_str()));
            let shared = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            return shared.chain(own).collect();
        }
        Flavor::GitLab => {
            headers.extend([("x-gitlab-event", body.name), ("x-gitlab-event-uuid", id), ("idempotency-key", id)]);
            headers.push(("user-agent", "GitLab/18.5.0-ee"));
            if !secret.is_empty() {
                headers.push(("x-gitlab-token", secret));
            }
        }
    }
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Starts the thread, which ends when the sender is dropped. Deliveries appear in `sent` with the receiver's answer.
pub(super) fn start(sent: Arc<Watched<Vec<Delivery>>>) -> Sender<Outgoing> {
    let (sender, receiver) = channel();
    let run = move || run(&receiver, &sent);
    std::thread::Builder::new().name("forge-webhooks".to_owned()).spawn(run).expect("a thread for deliveries");
    sender
}

fn run(receiver: &Receiver<Outgoing>, sent: &Watched<Vec<Delivery>>) {
    let mut delayed = Vec::new();
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(Outgoing { delivery, mishap: Some(Mishap::Delay) }) => delayed.push(delivery),
            Ok(Outgoing { delivery, mishap }) => {
                match mishap {
                    Some(Mishap::Lose) => sent.change(|sent| sent.push(delivery)),
                    Some(Mishap::Duplicate) => {
                        send(delivery.clone(), sent);
                        send(delivery, sent);
                    }
                    _ => send(delivery, sent),
                }
                delayed.drain(..).for_each(|delivery| send(delivery, sent));
            }
            Err(RecvTimeoutError::Timeout) => delayed.drain(..).for_each(|delivery| send(delivery, sent)),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn send(mut delivery: Delivery, sent: &Watched<Vec<Delivery>>) {
    delivery.status = post(&delivery).ok().flatten();
    sent.change(|sent| sent.push(delivery));
}

/// Returns the status of the answer.
fn post(delivery: &Delivery) -> std::io::Result<Option<u16>> {
    let Some(rest) = delivery.url.strip_prefix("http://") else { return Ok(None) };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers: String = delivery.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = delivery.body.len();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(delivery.body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.split(' ').nth(1).and_then(|status| status.parse().ok()))
}
