//! The agent's standard error on its way into a file, with secrets masked even if they arrive in pieces.

use kugetsu_process::Filter;

use crate::records::spool::Spool;

/// Masks a stream piece by piece. The end of a piece that may be the beginning of a secret waits for the next one; an empty
/// piece is the end of the stream.
pub(crate) fn redacting_filter(spool: Spool) -> Filter {
    let mut waiting: Vec<u8> = Vec::new();
    Box::new(move |piece| {
        waiting.extend_from_slice(piece);
        let is_end = piece.is_empty();
        // A character may be split over two pieces, too.
        let complete = match str::from_utf8(&waiting) {
            Err(error) if error.error_len().is_none() && !is_end => error.valid_up_to(),
            _ => waiting.len(),
        };
        let text = String::from_utf8_lossy(&waiting[..complete]).into_owned();
        let settled = if is_end { text.len() } else { spool.settled(&text) };
        let (now, later) = text.split_at(settled);
        let rest = waiting.split_off(complete);
        waiting = [later.as_bytes(), &rest].concat();
        spool.mask(now).into_bytes()
    })
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::redact::Redactor;

    use super::*;

    #[test]
    fn a_secret_on_stderr_is_masked_even_in_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::for_test(&directory.path().join("records"), Redactor::new(["topsecretvalue"])).unwrap();
        let mut filter = redacting_filter(spool);
        let mut kept = Vec::new();
        for piece in [b"key: topsec".as_slice(), b"retva", b"lue \xc3", b"\xa9 \xff topse", b""] {
            kept.extend(filter(piece));
        }
        assert_eq!(String::from_utf8(kept).unwrap(), "key: *** \u{e9} \u{fffd} topse");
    }
}
