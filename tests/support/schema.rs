//! The API's OpenAPI description, and a checker of the part of its schema language that it uses.

#![allow(dead_code, reason = "no test binary needs all of it")]

use http::Method;
use serde_json::Value;

pub(crate) struct OpenApi(Value);

/// Keywords that restrict no value. A null is refused even where it is allowed.
const UNCHECKED: [&str; 3] = ["default", "format", "nullable"];

impl OpenApi {
    pub(crate) fn load() -> Self {
        Self(serde_json::from_str(include_str!("../fixtures/openapi.json")).unwrap())
    }

    /// Returns the value at this JSON pointer, and follows references.
    pub(crate) fn at(&self, pointer: &str) -> Value {
        let found = self.0.pointer(pointer).expect(pointer);
        match found["$ref"].as_str() {
            Some(reference) => self.at(reference.strip_prefix('#').unwrap()),
            None => found.clone(),
        }
    }

    /// Returns the only operation at `path`.
    pub(crate) fn operation(&self, path: &str) -> Value {
        let methods = self.0["paths"][path].as_object().expect(path);
        assert_eq!(methods.len(), 1);
        methods.values().next().unwrap().clone()
    }

    /// Checks that the operation at `path` has this method, and that each of its parameters is in the path.
    pub(crate) fn check_operation(&self, path: &str, method: &Method) {
        let name = method.as_str().to_ascii_lowercase();
        assert!(self.0["paths"][path].get(name).is_some(), "{method} {path}");
        let operation = self.operation(path);
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert_eq!(parameter["in"], "path");
            let name = parameter["name"].as_str().unwrap();
            assert!(path.contains(&format!("{{{name}}}")));
        }
    }

    pub(crate) fn request_schema(&self, path: &str) -> Value {
        let body = &self.operation(path)["requestBody"];
        self.resolved(&body["content"]["application/json"]["schema"])
    }

    pub(crate) fn response_schema(&self, path: &str, status: u16) -> Value {
        let response = self.resolved(&self.operation(path)["responses"][status.to_string()]);
        self.resolved(&response["content"]["application/json"]["schema"])
    }

    fn resolved(&self, schema: &Value) -> Value {
        assert!(schema.is_object(), "no such schema");
        match schema["$ref"].as_str() {
            Some(reference) => self.at(reference.strip_prefix('#').unwrap()),
            None => schema.clone(),
        }
    }

    /// Checks a value against a schema, and returns the first mismatch. Panics at an unknown keyword, so that
    /// none is ignored.
    pub(crate) fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let schema = self.resolved(schema);
        for (keyword, rule) in schema.as_object().unwrap() {
            let matches = match keyword.as_str() {
                "type" => is_of_type(rule.as_str().unwrap(), value),
                "enum" => rule.as_array().unwrap().contains(value),
                "required" => {
                    let mut names = rule.as_array().unwrap().iter();
                    names.all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "properties" => {
                    for (name, schema) in rule.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.check(schema, value)
                                .map_err(|why| format!("{name}: {why}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let known = |name: &String| schema["properties"].get(name).is_some();
                    let open = rule.as_bool().unwrap();
                    open || value.as_object().is_some_and(|it| it.keys().all(known))
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.check(rule, item)?;
                    }
                    true
                }
                unchecked if UNCHECKED.contains(&unchecked) => true,
                unknown => panic!("the keyword {unknown} is not checked"),
            };
            if !matches {
                return Err(format!("{value} does not match {keyword} {rule}"));
            }
        }
        Ok(())
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type {other} is not checked"),
    }
}
