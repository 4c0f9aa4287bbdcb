//! Values that match a JSON schema.

use serde_json::{Map, Value, json};

/// A value that the schema allows: the first choice, otherwise an empty value, with the required fields of objects.
pub(super) fn any_value(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|choices| choices.first()) {
        return first.clone();
    }
    let kind = schema["type"].as_str().unwrap_or_default().to_lowercase();
    match kind.as_str() {
        "boolean" => json!(false),
        "integer" | "number" => json!(1),
        "array" => json!([]),
        "object" => {
            let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            let names = required.iter().filter_map(Value::as_str);
            let fields = names.map(|name| (name.to_owned(), any_value(&schema["properties"][name])));
            fields.collect::<Map<_, _>>().into()
        }
        _ => json!(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_has_its_required_fields() {
        let schema = json!({
            "type": "OBJECT",
            "properties": {"why": {"type": "string"}, "model": {"enum": ["small", "large"]}, "other": {}},
            "required": ["why", "model"],
        });
        assert_eq!(any_value(&schema), json!({"why": "", "model": "small"}));
    }
}
