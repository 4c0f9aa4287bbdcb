//! The real agents with a scripted model, one file per guarantee. No account is needed, and nothing leaves this machine.
//!
//! Each test runs with every agent, in tests named `needs_<agent>_...`. They compare what they see with the agent's description, from
//! which `docs/agents.md` is generated.

mod canceled;
mod continued;
mod coordinator;
mod killed;
mod main_job;
mod model_choice;
mod model_failures;
mod outside;
mod refused;
mod silent;
mod stage;
mod table;
mod trial;
