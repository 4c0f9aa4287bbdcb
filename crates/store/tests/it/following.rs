//! Storage of issues that a watch handed over.

use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::flow::Event;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::watch::command::AnswerOn;
use kugetsu_domain::watch::conditions::{Condition, ConditionKind, Met};
use kugetsu_domain::watch::feedback::{Ending, FeedbackKind, RecordState};
use kugetsu_domain::watch::follow::FollowEvent;
use kugetsu_domain::watch::scheduled::Scheduled;

use kugetsu_store::error::StoreError;
use kugetsu_store::view::{Candidate, HookNews, Poll, WatchState};
use kugetsu_store::write::{Enqueue, HandedOver, Precondition};

use crate::world::{World, later, now, start};

#[tokio::test]
async fn issue_without_a_pull_request_counts_as_one_that_is_not_opened() {
    let world = World::new().await;
    let mut issues = Vec::new();
    for number in [1, 2] {
        let (issue, _) = world.queued(number).await;
        let started = FollowEvent::Started { watch: "api".to_owned() };
        world.store().apply(issue.id, Event::Followed(started), now()).await.unwrap();
        issues.push(issue);
    }
    let load = async || {
        let load = world.store().watch_load(issues[0].reference.repo.clone()).await.unwrap();
        (load.running, load.open_pull_requests, load.unopened_pull_requests)
    };
    assert_eq!(load().await, (2, 2, 2));
    let checked = Event::PrChecked { url: "https://h/acme/shop/pulls/3".to_owned(), state: PrState::Open };
    world.store().apply(issues[0].id, checked, now()).await.unwrap();
    assert_eq!(load().await, (2, 2, 1));
}

#[tokio::test]
async fn followed_issue_reads_back_as_stored() {
    let mut world = World::new().await;
    let (issue, task) = world.queued(1).await;
    let (other, _) = world.queued(2).await;
    let at = later(60);
    let started = FollowEvent::Started { watch: "api".to_owned() };
    let answered = FollowEvent::Given { kind: FeedbackKind::Review, fingerprint: "r0".to_owned(), task };
    for event in [started, answered] {
        world.store().apply(issue.id, Event::Followed(event), at).await.unwrap();
    }
    let lease = world.work(issue.id, task).await;
    world.finish(lease, Verdict::Done).await;
    world.store().apply(issue.id, Event::PushFound { head: "c2".to_owned() }, at).await.unwrap();
    for event in [
        FollowEvent::Given { kind: FeedbackKind::Review, fingerprint: "r1".to_owned(), task },
        FollowEvent::Given { kind: FeedbackKind::Ci, fingerprint: "c1 failed test".to_owned(), task },
        FollowEvent::Given { kind: FeedbackKind::Ci, fingerprint: "c2 failed test".to_owned(), task },
        FollowEvent::Exhausted { kind: FeedbackKind::Review, fingerprint: "r2".to_owned(), reason: "often".to_owned() },
        FollowEvent::Verified { head: "c2".to_owned() },
        FollowEvent::Commented { comment: 77 },
        FollowEvent::MergeScheduled(Scheduled {
            number: 7,
            head: "c2".to_owned(),
            refusal: Some("not yet".to_owned()),
        }),
        FollowEvent::Noticed,
    ] {
        world.store().apply(issue.id, Event::Followed(event), at).await.unwrap();
    }
    let mut question = Enqueue { precondition: Precondition::Any, ..start(1) };
    question.task.answer_on = Some(AnswerOn::PullRequest(7));
    let question = world.store().enqueue(question, at).await.unwrap().issue.tasks.pop().unwrap();
    let before = world.store().issue_by_id(issue.id).await.unwrap();
    world.reopen().await;
    let read = world.store().issue_by_id(issue.id).await.unwrap();
    assert_eq!(read, before);
    assert_eq!(read.task(question.id), Some(&question));
    assert_eq!(question.answer_on, Some(AnswerOn::PullRequest(7)));
    let follow = read.follow.unwrap();
    assert_eq!((follow.watch.as_str(), follow.comment), ("api", Some(77)));
    let scheduled = Scheduled { number: 7, head: "c2".to_owned(), refusal: Some("not yet".to_owned()) };
    assert_eq!(follow.scheduled, Some(scheduled));
    assert_eq!(follow.verified.as_deref(), Some("c2"));
    assert!(follow.look_at >= Some(at), "{:?}", follow.look_at);
    let ci = follow.record(FeedbackKind::Ci).unwrap();
    assert_eq!((ci.fingerprint.as_str(), ci.given, &ci.state), ("c2 failed test", 2, &RecordState::Given { task }));
    let review = follow.record(FeedbackKind::Review).unwrap();
    assert_eq!(review.state, RecordState::Stopped { reason: "often".to_owned() });
    assert_eq!(review.answered, "r0");
    assert_eq!(world.store().issue_by_id(other.id).await.unwrap().follow, None);

    world.store().apply(issue.id, Event::Followed(FollowEvent::Ended { ending: Ending::Merged }), now()).await.unwrap();
    let effects = world.store().effects_of(issue.id).await.unwrap();
    let has = |kind| effects.iter().any(|effect| effect.kind == Some(kind));
    assert!(has(EffectKind::Complete) && has(EffectKind::Follow) && has(EffectKind::Announce), "{effects:?}");
    let events = world.store().events_after(Some(issue.id), 0, 100).await.unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.contains(&"feedback_given") && kinds.contains(&"follow_ended"), "{kinds:?}");
}

#[tokio::test]
async fn watch_candidates_and_deliveries_read_back_as_stored() {
    let mut world = World::new().await;
    let (issue, _) = world.queued(1).await;
    let repo = || issue.reference.repo.clone();
    assert_eq!(world.store().watch(repo()).await.unwrap(), WatchState::default());
    let poll = Poll { since: Some(now()), at: now(), error: Some("no answer".to_owned()) };
    let (hooked, missed) = (later(-9), now());
    world.store().set_hook(repo(), HookNews::Worked, hooked).await.unwrap();
    world.store().set_poll(repo(), poll.clone()).await.unwrap();
    assert!(world.store().watch(repo()).await.unwrap().has_hook());
    world.store().set_hook(repo(), HookNews::Missed, missed).await.unwrap();
    let state = WatchState {
        since: poll.since,
        polled_at: Some(poll.at),
        error: poll.error,
        hooked_at: Some(hooked),
        missed_at: Some(missed),
    };
    assert!(!state.has_hook(), "something was not reported");
    let found =
        |met| ConditionKind::ALL.iter().map(move |kind| Condition { kind: *kind, met, fact: "a \"b\"".to_owned() });
    let candidate = |text: &str, met| Candidate {
        text_hash: text.to_owned(),
        seen_at: now(),
        conditions: found(met).collect(),
        rule: Some(format!("label {text}")),
        read_at: now(),
    };
    let (first, second) = (candidate("a", Met::Unknown), candidate("b", Met::No));
    for candidate in [&first, &second] {
        world.store().set_candidate(repo(), 7, Some(candidate.clone())).await.unwrap();
    }
    let kept = Candidate { text_hash: first.text_hash, seen_at: first.seen_at, ..second };
    world.store().add_handled("h".to_owned(), "1".to_owned(), Some(later(-100)), later(-200)).await.unwrap();
    world.reopen().await;
    assert_eq!(world.store().watch(repo()).await.unwrap(), state);
    assert_eq!(world.store().candidate(repo(), 7).await.unwrap(), Some(kept.clone()), "the approved text stays");
    assert_eq!(world.store().candidate(repo(), 8).await.unwrap(), None);
    assert_eq!(world.store().candidates(repo()).await.unwrap(), [(7, kept)]);
    world.store().set_candidate(repo(), 7, None).await.unwrap();
    assert_eq!(world.store().candidate(repo(), 7).await.unwrap(), None);
    let is_handled = async |id: &str| world.store().is_handled("h".to_owned(), id.to_owned()).await.unwrap();
    assert!(is_handled("1").await && !is_handled("2").await);
    world.store().add_handled("h".to_owned(), "2".to_owned(), Some(now()), later(-50)).await.unwrap();
    assert!(!is_handled("1").await && is_handled("2").await, "old ones are forgotten");
    world.store().add_handled("h".to_owned(), "3".to_owned(), None, now()).await.unwrap();
    world.store().add_handled("h".to_owned(), "4".to_owned(), Some(now()), later(9)).await.unwrap();
    assert!(is_handled("3").await && !is_handled("2").await, "what has no time is kept");
}

#[tokio::test]
async fn issue_is_handed_over_once_and_only_if_it_is_new() {
    let world = World::new().await;
    let watch = |rule: &str| Some(HandedOver { watch: "api".to_owned(), rule: Some(rule.to_owned()) });
    let handed = |number| Enqueue { watch: watch("label bug"), precondition: Precondition::New, ..start(number) };
    let first = handed(1);
    let issue = world.store().enqueue(first.clone(), now()).await.unwrap().issue;
    let follow = issue.follow.unwrap();
    assert_eq!((follow.watch.as_str(), follow.rule.as_deref()), ("api", Some("label bug")));
    let other = Enqueue { watch: watch("type task"), ..handed(3) };
    world.store().enqueue(other, now()).await.unwrap();
    let load = world.store().watch_load(issue.reference.repo.clone()).await.unwrap();
    let by_rule = [("label bug".to_owned(), 1), ("type task".to_owned(), 1)];
    assert_eq!((load.running, load.running_by_rule), (2, by_rule.into()));
    assert!(world.store().enqueue(first, now()).await.unwrap().repeated, "the same task again");
    for number in [1, 2] {
        if number == 2 {
            world.enqueue(start(2)).await;
        }
        let refused = world.store().enqueue(handed(number), now()).await.unwrap_err();
        assert!(matches!(refused, StoreError::Known), "{refused}");
    }
}
