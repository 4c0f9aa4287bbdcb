//! What an agent prints on its standard error, on its way to a file: without secrets, also where one comes in pieces.

use kugetsu_process::Filter;

use super::spool::Spool;

/// Masks a stream piece by piece.
pub(crate) fn redacting_filter(spool: Spool) -> Filter {
    let mut waiting: Vec<u8> = Vec::new();
    Box::new(move |piece| {
        waiting.extend_from_slice(piece);
        let is_end = piece.is_empty();
        // A character may come in two pieces as well.
        let whole = match str::from_utf8(&waiting) {
            Err(error) if error.error_len().is_none() && !is_end => error.valid_up_to(),
            _ => waiting.len(),
        };
        let text = String::from_utf8_lossy(&waiting[..whole]).into_owned();
        let settled = if is_end { text.len() } else { spool.settled(&text) };
        let (now, later) = text.split_at(settled);
        let rest = waiting.split_off(whole);
        waiting = [later.as_bytes(), &rest].concat();
        spool.mask(now).into_bytes()
    })
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::redact::Redactor;

    use super::*;

    #[test]
    fn a_secret_on_stderr_is_masked_however_it_comes() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::create(&directory.path().join("records"), Redactor::new(["topsecretvalue"])).unwrap();
        let mut filter = redacting_filter(spool);
        let mut kept = Vec::new();
        for piece in [b"key: topsec".as_slice(), b"retva", b"lue \xc3", b"\xa9 \xff topse", b""] {
            kept.extend(filter(piece));
        }
        assert_eq!(String::from_utf8(kept).unwrap(), "key: *** \u{e9} \u{fffd} topse");
    }
}
