//! No secret survives masking, however a stream is split.

use kugetsu_domain::redact::{MASK, Redactor};
use proptest::prelude::*;

fn secrets() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof!["[abc]{6,12}", "[aé\"\\\\]{6,9}", "[ab]{6}\n[bc]{6}"], 1..4)
}

proptest! {
    #[test]
    fn no_secret_is_left_in_a_text(secrets in secrets(), around in "[abcé \n]{0,20}", which in any::<prop::sample::Index>()) {
        let secret = which.get(&secrets);
        let masked = Redactor::new(&secrets).mask(&format!("{around}{secret}{around}"));
        for secret in secrets.iter().flat_map(|secret| std::iter::once(secret.as_str()).chain(secret.lines())) {
            prop_assert!(!masked.contains(secret), "{:?} in {:?}", secret, masked);
        }
        prop_assert!(masked.contains(MASK));
    }

    #[test]
    fn no_secret_is_left_in_a_stream(
        secrets in secrets(), text in "[abcé]{0,60}", cuts in prop::collection::vec(1_usize..7, 0..40),
    ) {
        let redactor = Redactor::new(&secrets);
        let mut chars = text.chars();
        let (mut out, mut held) = (String::new(), String::new());
        for cut in cuts {
            held.extend(chars.by_ref().take(cut));
            let safe = redactor.settled(&held);
            out.push_str(&redactor.mask(&held[..safe]));
            held.drain(..safe);
        }
        held.extend(chars);
        out.push_str(&redactor.mask(&held));
        prop_assert_eq!(&out, &redactor.mask(&text), "the same as for the whole text");
        for secret in secrets.iter().flat_map(|secret| secret.lines()) {
            prop_assert!(!out.contains(secret), "{:?} in {:?}", secret, out);
        }
    }

    #[test]
    fn masking_twice_changes_nothing(secrets in secrets(), text in "[abcé:/@ ]{0,40}") {
        let redactor = Redactor::new(&secrets);
        let once = redactor.mask(&text);
        prop_assert_eq!(redactor.mask(&once), once);
    }

    #[test]
    fn no_password_of_an_address_is_left_in_a_stream(cuts in prop::collection::vec(1_usize..7, 0..12)) {
        let redactor = Redactor::new(["0123456789"]);
        let mut chars = "push https://bot:hunter22@host/a".chars();
        let (mut out, mut held) = (String::new(), String::new());
        for cut in cuts {
            held.extend(chars.by_ref().take(cut));
            let safe = redactor.settled(&held);
            out.push_str(&redactor.mask(&held[..safe]));
            held.drain(..safe);
        }
        held.extend(chars);
        out.push_str(&redactor.mask(&held));
        prop_assert_eq!(out, "push https://bot:***@host/a");
    }
}
