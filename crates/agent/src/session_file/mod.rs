//! The files in which agents keep their sessions, for agents that do not report over the protocol how a turn ended.

mod gemini;
mod kept_session;
mod kimi;
mod location;
mod record;

pub(crate) use kept_session::KeptSession;
pub(crate) use record::SessionRecord;
