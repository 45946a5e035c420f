//! Requests as JSON, of which no byte is looked at alone where nothing needs an escape.

use serde_json::Value;

use super::CreateActorToken;

impl CreateActorToken {
    /// Writes what `Serialize` does.
    pub(crate) fn write_to(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        json.extend_from_slice(br#"{"user_id":"#);
        write_text(json, self.user_id())?;
        json.extend_from_slice(br#","actor":{"sub":"#);
        write_text(json, self.actor().sub())?;
        for (name, claim) in self.actor().claims() {
            json.push(b',');
            write_text(json, name)?;
            json.push(b':');
            match claim {
                Value::String(text) => write_text(json, text)?,
                claim => serde_json::to_writer(&mut *json, claim)?,
            }
        }
        json.push(b'}');
        if let Some(life) = self.life() {
            json.extend_from_slice(br#","expires_in_seconds":"#);
            serde_json::to_writer(&mut *json, &life.as_secs())?;
        }
        if let Some(life) = self.session_life() {
            json.extend_from_slice(br#","session_max_duration_in_seconds":"#);
            serde_json::to_writer(&mut *json, &life.as_secs())?;
        }
        json.push(b'}');
        Ok(())
    }
}

fn write_text(json: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    // Without a way out of the loop it is done many bytes at a time.
    let is_plain = |byte| byte >= b' ' && byte != b'"' && byte != b'\\';
    if !text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return serde_json::to_writer(json, text);
    }
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, option, prelude::*, sample::select};
    use serde_json::json;

    use super::*;
    use crate::Actor;

    fn any_text() -> impl Strategy<Value = String> {
        let pieces = vec![
            "user_1", "\"", "\\", "\n", "\0", "\u{1f}", "\u{7f}", "é", " ",
        ];
        vec(select(pieces), 0..4).prop_map(|pieces| pieces.concat())
    }

    fn any_claim() -> impl Strategy<Value = Value> {
        let number = any::<i32>().prop_map(Value::from);
        let text = any_text().prop_map(Value::from);
        let nested = any_text().prop_map(|text| json!({ "a\"": [text, null, { "b": true }] }));
        prop_oneof![number, text, nested]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn it_is_written_as_by_serde_json(
            user_id in any_text(),
            sub in any_text(),
            claims in vec((any_text(), any_claim()), 0..4),
            lives in [option::of(any::<u32>()), option::of(any::<u32>())],
        ) {
            let actor = claims
                .into_iter()
                .fold(Actor::new(sub), |actor, (name, value)| actor.claim(name, value));
            let mut create = CreateActorToken::new(user_id, actor);
            let [life, session_life] = lives.map(|life| Some(Duration::from_secs(life?.into())));
            if let Some(life) = life {
                create = create.expires_in(life);
            }
            if let Some(life) = session_life {
                create = create.session_max_duration(life);
            }
            let mut json = Vec::new();
            create.write_to(&mut json).unwrap();
            let expected = serde_json::to_string(&create).unwrap();
            prop_assert_eq!(String::from_utf8(json).unwrap(), expected);
        }
    }
}
