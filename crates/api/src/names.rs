//! States of the domain travel by their names.

use kugetsu_domain::machine::Machine;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::task::TaskState;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) trait Named: Copy {
    fn name(self) -> &'static str;

    fn from_name(name: &str) -> Option<Self>;
}

impl Named for TaskState {
    fn name(self) -> &'static str {
        Machine::name(self)
    }

    fn from_name(name: &str) -> Option<Self> {
        Machine::from_name(name)
    }
}

impl Named for PrState {
    fn name(self) -> &'static str {
        self.name()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }
}

pub(crate) fn serialize<T: Named, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.name())
}

pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn parse<T: Named, E: Error>(name: &str) -> Result<T, E> {
    T::from_name(name).ok_or_else(|| E::custom(format!("{name:?} is not a known state")))
}

pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Named, parse};

    pub(crate) fn serialize<T: Named, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(T::name).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|name| parse(&name)).transpose()
    }
}
