//! The key that the secrets of webhooks derive from.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;

use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::regular_file;
use kugetsu_forge::webhook::delivery::HookKey;
use secrecy::ExposeSecret;

/// Bytes of the file that are read; it has 64 digits.
const KEY_MAX: u64 = 1024;

/// Reads the home's key, or makes one.
pub(crate) fn read_or_make_key(path: &Path) -> io::Result<HookKey> {
    let mut text = String::new();
    match regular_file::open(OpenOptions::new().read(true), path) {
        Ok(file) => {
            file.take(KEY_MAX).read_to_string(&mut text)?;
            let invalid = || {
                let message = format!("{} is damaged; delete it, and create the webhooks again", path.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            };
            HookKey::from_text(&text).ok_or_else(invalid)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = HookKey::random()?;
            write_atomic(path, key.to_text().expose_secret().as_bytes())?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kugetsu_domain::reference::ServerBase;

    use super::*;

    #[test]
    fn key_is_made_once_and_a_damaged_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hook.key");
        let server = ServerBase::new("https://github.com").unwrap();
        let secret = || read_or_make_key(&path).map(|key| key.secret(&server).expose_secret().to_owned());
        let first = secret().unwrap();
        assert_eq!(secret().unwrap(), first);
        let other = ServerBase::new("https://gitlab.com").unwrap();
        assert_ne!(read_or_make_key(&path).unwrap().secret(&other).expose_secret(), first);
        fs::write(&path, "short").unwrap();
        assert!(secret().unwrap_err().to_string().contains("damaged"));
    }
}
