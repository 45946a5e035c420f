//! Values, requests and responses of realistic size.

use bytes::Bytes;

pub(crate) const SECRET_KEY: &str = "sk_test_b3VyLXNlY3JldC1rZXktZm9yLWJlbmNobWFya3M";
pub(crate) const BASE_URL: &str = "https://api.clerk.com/v1";
pub(crate) const USER_ID: &str = "user_2vYxT0yXkQ9aBcDeFgHiJkLmNoP";
pub(crate) const ADMIN_ID: &str = "user_2uWzS1xWjP8zYxWvUtSrQpOnMlK";
pub(crate) const TOKEN_ID: &str = "act_2xZyU1zYlR0bCdEfGhIjKlMnOpQ";
pub(crate) const LIFE_SECONDS: u64 = 600;

macro_rules! ticket {
    () => {
        "eyJhbGciOiJSUzI1NiIsImtpZCI6Imluc18ydll4VDB5WGtROWFCY0RlRmdIaUprTG1Ob1AifQ.\
         eyJleHAiOjE3NjAwMDA2MDAsInNpZCI6ImFjdF8yeFp5VTF6WWxSMGJDZEVmR2hJaktsTW5PcFEiLCJzdCI6\
         ImFjdG9yX3Rva2VuIn0.c2lnbmF0dXJlLW9mLWZvcnR5LWVpZ2h0LWJ5dGVzLWluLWJhc2U2NA"
    };
}

/// The response to a create.
pub(crate) const MINTED: Bytes = Bytes::from_static(
    concat!(
        r#"{"object":"actor_token","id":"act_2xZyU1zYlR0bCdEfGhIjKlMnOpQ","#,
        r#""user_id":"user_2vYxT0yXkQ9aBcDeFgHiJkLmNoP","#,
        r#""actor":{"sub":"user_2uWzS1xWjP8zYxWvUtSrQpOnMlK"},"status":"pending","#,
        r#""token":""#,
        ticket!(),
        r#"","url":"https://clerk.example.com/v1/tickets/accept?ticket="#,
        ticket!(),
        r#"","created_at":1760000000123,"updated_at":1760000000123}"#,
    )
    .as_bytes(),
);

/// The response to a revoke.
pub(crate) const REVOKED: Bytes = Bytes::from_static(
    concat!(
        r#"{"object":"actor_token","id":"act_2xZyU1zYlR0bCdEfGhIjKlMnOpQ","#,
        r#""user_id":"user_2vYxT0yXkQ9aBcDeFgHiJkLmNoP","#,
        r#""actor":{"sub":"user_2uWzS1xWjP8zYxWvUtSrQpOnMlK"},"status":"revoked","#,
        r#""created_at":1760000000123,"updated_at":1760000012345}"#,
    )
    .as_bytes(),
);

/// The response to a rejected create.
pub(crate) const REFUSED: Bytes = Bytes::from_static(
    concat!(
        r#"{"errors":[{"message":"is invalid","long_message":"user_id does not name a user","#,
        r#""code":"form_param_value_invalid","meta":{"param_name":"user_id"}}],"#,
        r#""clerk_trace_id":"0123456789abcdef0123456789abcdef"}"#,
    )
    .as_bytes(),
);
